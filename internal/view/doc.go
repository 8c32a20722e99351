// Package view answers what the web page asks: where the tasks of a batch are drawn, and which states they are in.
package view

// MostTasks is how many tasks a batch may have to be drawn.
const MostTasks = 100_000
