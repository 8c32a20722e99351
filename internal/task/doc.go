// Package task holds the words of the domain: tasks, their states, what replicas claim, try and report, and the errors
// a caller may see. It imports nothing of this module. What a change of state means is decided in sql/, not here.
package task
