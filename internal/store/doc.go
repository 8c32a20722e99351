// Package store is the service's only way to the database: domain values go in and out, SQL stays inside. What a change
// means is decided by the functions of sql/; here they are called, retried where that is safe, and their errors become
// the domain's (errors.go).
//
// Calls need the rights of the role taskrunner_service and nothing else, and leave no state in a session, so they work
// through PgBouncer in transaction mode. A call that consists of several queries sends them in one round trip, as one
// transaction (run.go).
package store
