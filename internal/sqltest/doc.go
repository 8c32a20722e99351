// Package sqltest holds the tests of the folder sql: they speak to PostgreSQL as clients do, by SQL on connections of
// their own, and know nothing of the Go code above it. Every test ends with an empty taskrunner.check_invariants() and
// without a deadlock (engine_test.go).
package sqltest
