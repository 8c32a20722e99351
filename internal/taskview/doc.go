// Package taskview says how tasks and batches look on a terminal: rows, tables, bars, descriptions. It only makes lines;
// who writes them, and when, is decided elsewhere. Whatever people gave as names or reasons is made harmless on the way.
package taskview
