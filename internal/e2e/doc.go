// Package e2e tests whole replicas: the real program, a real database, real HTTP receivers. Replicas log in with the role
// taskrunner_service, so what the role lacks shows here. Every test ends with check_invariants and the server's count of
// deadlocks.
package e2e
