package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A machine tells what share of its processors others took during a measurement: with neighbours at work, rates and even
// ratios mean little. Linux only; elsewhere the share is unknown.
type machine struct {
	roots []int // processes whose descendants are ours too
}

// usage is processor time since the start of the machine, in ticks: of everybody, idle or not, and of our own processes.
type usage struct{ total, idle, own int64 }

// tick is the unit of /proc: Linux shows 100 a second to programs on every architecture that Go knows.
const tick = 10 * time.Millisecond

// unknownShare says that the share of others cannot be told.
const unknownShare = -1

// newMachine counts this process, and the database server behind the backend's process id if it runs here.
func newMachine(backend int) machine {
	m := machine{roots: []int{os.Getpid()}}
	if p, err := readProcess(backend); err == nil && strings.HasPrefix(p.name, "postgres") && p.parent > 1 {
		m.roots = append(m.roots, p.parent)
	}
	return m
}

// load is what a measurement took of the machine.
type load struct {
	others float64       // share that others took; unknownShare
	own    time.Duration // processor time of our own processes; 0 when it cannot be told
}

// since returns what was taken since before.
func (m machine) since(before usage, err error) load {
	after, err2 := m.read()
	total, own := after.total-before.total, after.own-before.own
	if errors.Join(err, err2) != nil || total <= 0 {
		return load{others: unknownShare}
	}
	busy := total - (after.idle - before.idle)
	return load{others: max(0, float64(busy-own)/float64(total)), own: time.Duration(own) * tick}
}

func (m machine) read() (usage, error) {
	var u usage
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	for i, field := range strings.Fields(first) {
		if i == 0 || i > 8 { // guest time is in user time already
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, err
		}
		u.total += n
		if i == 4 || i == 5 { // idle, iowait
			u.idle += n
		}
	}
	processes, err := readProcesses()
	if err != nil {
		return u, err
	}
	for pid, p := range processes {
		if m.owns(processes, pid) {
			u.own += p.ticks
		}
	}
	return u, nil
}

// owns reports whether a process descends from a root.
func (m machine) owns(processes map[int]process, pid int) bool {
	for range 100 {
		for _, root := range m.roots {
			if pid == root {
				return true
			}
		}
		p, ok := processes[pid]
		if !ok {
			return false
		}
		pid = p.parent
	}
	return false
}

// process is a line of /proc/PID/stat. ticks include those of children that have ended.
type process struct {
	name   string
	parent int
	ticks  int64
}

func readProcesses() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	all := make(map[int]process, len(paths))
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil { // it may have ended
			all[pid] = p
		}
	}
	return all, nil
}

func readProcess(pid int) (process, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name is in parentheses and may hold any character.
	line := string(raw)
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, errors.New("no name in /proc/PID/stat")
	}
	p := process{name: line[open+1 : end]}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 15 {
		return process{}, errors.New("too few fields in /proc/PID/stat")
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, err
	}
	for _, field := range fields[11:15] { // user and system time, then that of children
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return process{}, err
		}
		p.ticks += n
	}
	return p, nil
}

// peakMemory is the largest resident size of a process so far, in bytes; 0 when it cannot be told.
func peakMemory(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
