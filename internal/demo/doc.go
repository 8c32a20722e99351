// Package demo is what `taskrunner dev` shows: a graph of CI/CD tasks, the program that works on them, and a display of
// how it goes. Nothing is staged. The graph is created by POST /task (graph.go), the program is an HTTP server as a
// user would write one (receiver.go, work.go), and the display shows what the API answers (watch.go).
package demo
