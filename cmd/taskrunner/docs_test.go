package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/demo"
	"github.com/taskrunner/taskrunner/internal/devpg"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// Every document of docs/ is a script. Its blocks are run from top to bottom in one shell, in an empty folder, with a database
// of its own in DATABASE_URL, the program as taskrunner and bin/taskrunner, and the demo's receiver on port 8086:
//
//	```sh       must succeed; what it writes is not looked at
//	```sql      is given to psql; must succeed, unless the text block behind it shows an ERROR
//	```console  lines that begin with $ are commands, the others what they write, standard error too
//	```text     right behind a block of sh or sql: what that writes
//
// A block of another kind whose first line names a file (# name.yaml, // name.go) is written into that file; programs have to. Outputs are compared without
// ids, moments, durations and the number of blanks; … stands for any text, a line of it for any lines. Ports 8080 to 8099 are
// replaced by free ones. In comments stand directives:
//
//	<!-- beside: make run -->      the document is read beside the demo, which then has the ports 8085 and 8086
//	<!-- run … -->                 commands that readers need not see, to cause a trouble for instance
//	<!-- not run: reason -->       the next block is not run
//	<!-- needs: pg_dump -->        the next block, of sh, is left out where pg_dump is older than the server: it refuses that one
//	<!-- run by: TestName -->      the whole document is run by another test, or by a program of .ci
var (
	docBlock     = regexp.MustCompile("(?ms)^ *<!-- (run by|not run|beside|needs): ([^>]*?) -->$|^ *<!-- run\n(.*?)^ *-->$|^ *```(\\w*)[^\n]*\n(.*?)^ *```$")
	docFile      = regexp.MustCompile(`^(?:#|//) ([a-z][\w.-]*\.\w+)(?::.*)?\n`)
	docPort      = regexp.MustCompile(`\b80[89]\d\b`)
	docID        = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	docMoment    = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d(:?\d\d)?)?`)
	docDuration  = regexp.MustCompile(`\d+\.\d+ s\b`)
	docBlanks    = regexp.MustCompile(`[ \t]+`)
	docRule      = regexp.MustCompile(`-{3,}`)
	docDirective = regexp.MustCompile(`(?m)^ *<!-- *(run|not run|beside|needs)`)
)

const (
	docMark     = "\x01" // before each block of the output, and each command of a console block
	docPatience = 5 * time.Minute
)

// docPart is something that is run, with what it has to write.
type docPart struct {
	line   int
	script string
	want   string
	silent bool // the output is not compared
	dump   bool // needs a pg_dump of the server's version
}

// document is what a Markdown file says.
type document struct {
	parts  []docPart
	files  map[string]string
	beside bool
	by     string // another test
}

// readDocument finds what is to be run, and every block that would escape.
func readDocument(t *testing.T, text string) (d document) {
	t.Helper()
	d.files = map[string]string{}
	skip, dump, directives := false, false, 0
	for _, m := range docBlock.FindAllStringSubmatchIndex(text, -1) {
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		line := strings.Count(text[:m[0]], "\n") + 1
		hidden, kind, body := group(3), group(4), group(5)
		if !strings.Contains(text[m[0]:m[1]], "```") {
			directives++
		}
		follows := regexp.MustCompile("^\n+ *```text[^\n]*\n((?s:.*?))(?m:^) *```\n").FindStringSubmatch(text[m[1]:])
		part := docPart{line: line + 1, silent: len(follows) == 0, dump: dump}
		dump = false
		if !part.silent {
			part.want = follows[1]
		}
		if skip && kind != "" {
			skip = false
			continue
		}
		switch name := docFile.FindStringSubmatch(body); {
		case group(1) == "run by":
			d.by = group(2)
		case group(1) == "beside":
			require.Equal(t, "make run", group(2), "line %d", line)
			d.beside = true
		case group(1) == "not run":
			require.Greater(t, len(group(2)), 15, "line %d: say why", line)
			skip = true
		case group(1) == "needs":
			require.Equal(t, "pg_dump", group(2), "line %d", line)
			dump = true
		case hidden != "":
			d.parts = append(d.parts, docPart{line: line, script: "set -e\n" + hidden, silent: true})
		case kind == "sh":
			part.script = "set -e\n" + body
			d.parts = append(d.parts, part)
		case kind == "sql":
			stop := "1"
			if strings.Contains(part.want, "ERROR") {
				stop = "0"
			}
			part.script = "set -e\npsql -Xq -v ON_ERROR_STOP=" + stop + " \"$DATABASE_URL\" <<'END OF SQL'\n" + body + "END OF SQL\n"
			d.parts = append(d.parts, part)
		case kind == "console":
			d.parts = append(d.parts, readConsole(line, body)...)
		case name != nil:
			d.files[name[1]] = body
		case slices.Contains([]string{"", "text", "mermaid", "ini", "toml", "yaml", "json"}, kind):
		default:
			t.Errorf("line %d: a block of %s is neither run nor written to a file: begin it with the file's name, or say <!-- not run: why -->", line, kind)
		}
	}
	require.Equal(t, len(docDirective.FindAllString(text, -1)), directives, "a directive is misspelt, or does not stand alone in its lines")
	return d
}

// readConsole takes a session apart into its commands, here documents of <<'END' included.
func readConsole(line int, body string) (parts []docPart) {
	within := false
	for text := range strings.Lines(body) {
		line++
		command, isCommand := strings.CutPrefix(text, "$ ")
		last := len(parts) - 1
		switch {
		case isCommand:
			parts = append(parts, docPart{line: line, script: command})
			within = strings.Contains(command, "<<'END'") || strings.HasSuffix(command, "\\\n")
		case within:
			parts[last].script += text
			within = text != "END\n" && (strings.Contains(parts[last].script, "<<'END'") || strings.HasSuffix(text, "\\\n"))
		case last >= 0:
			parts[last].want += text
		}
	}
	return parts
}

// docPattern turns what stands in a document into an expression for what is written.
func docPattern(want string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	for line := range strings.Lines(docNormal(want)) {
		if line == "…\n" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`))
	}
	return regexp.MustCompile(b.String() + `$`)
}

// docNormal leaves out what is another at every run.
func docNormal(text string) string {
	text = docID.ReplaceAllString(text, "<id>")
	text = docMoment.ReplaceAllString(text, "<moment>")
	text = docDuration.ReplaceAllString(text, "<time>")
	text = docRule.ReplaceAllString(docBlanks.ReplaceAllString(text, " "), "---")
	lines := strings.Split(strings.TrimRight(text, " \n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "\n") + "\n"
}

// freePorts returns a function that puts free ports in place of those of a document, and one that puts those back.
func freePorts(t *testing.T, fixed map[string]string) (there, back func(string) string) {
	t.Helper()
	real := func(port string) string {
		if fixed[port] == "" {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			fixed[port] = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
			require.NoError(t, listener.Close())
		}
		return fixed[port]
	}
	there = func(text string) string { return docPort.ReplaceAllStringFunc(text, real) }
	back = func(text string) string {
		for port, free := range fixed {
			text = regexp.MustCompile(`\b`+free+`\b`).ReplaceAllString(text, port)
		}
		return text
	}
	return there, back
}

// toolPath is a PATH with the program and the client programs of PostgreSQL.
func toolPath(t *testing.T, program, dir string) string {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(program, filepath.Join(dir, "bin", "taskrunner")))
	path := filepath.Join(dir, "bin")
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // pg_dump must not be older than the server
	slices.Sort(installed)
	slices.Reverse(installed)
	for _, bin := range append([]string{os.Getenv(devpg.BinEnv)}, installed...) {
		if _, err := os.Stat(filepath.Join(bin, "psql")); bin != "" && err == nil {
			path += ":" + bin
		}
	}
	return path + ":" + os.Getenv("PATH")
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	program := filepath.Join(t.TempDir(), "taskrunner") // starts in no time, unlike this test program
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".md"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			d := readDocument(t, string(text))
			switch {
			case d.by != "":
				if _, err := os.Stat(filepath.Join("../..", d.by)); err != nil {
					err = exec.CommandContext(t.Context(), "grep", "-rq", "--include=*_test.go", "func "+d.by+"(", "../..").Run()
					require.NoError(t, err, "%s, which is to run the document, does not exist", d.by)
				}
			case len(d.parts) > 0:
				runDocument(t, program, d)
			}
		})
	}
}

func runDocument(t *testing.T, program string, d document) {
	t.Helper()
	dir := t.TempDir()
	env := []string{"PATH=" + toolPath(t, program, dir), "HOME=" + dir, "PAGER=cat", "LC_ALL=C.UTF-8", "TZ=UTC"}
	if _, err := exec.LookPath("psql"); err != nil {
		require.NotContains(t, fmt.Sprint(d.parts), "psql", "this test needs psql: install a client of PostgreSQL (package postgresql-client)")
	}
	fixed := map[string]string{}
	db := testdb.New(t)
	if d.beside {
		dev := startDev(t, db.DSN, "--speed=1")
		defer func() {
			dev.stop()
			dev.end(t)
		}()
		dev.out.await(t, "POST /task created")
		fixed["8085"], fixed["8086"] = docPortOf(t, dev.value(t, "service")), docPortOf(t, dev.value(t, "receiver"))
	} else {
		receiver := demo.NewReceiver("http://127.0.0.1", 1, slog.New(slog.DiscardHandler), nobody{})
		server := httptest.NewServer(receiver.Handler())
		defer server.Close()
		defer receiver.Close()
		fixed["8086"] = docPortOf(t, server.URL)
	}
	there, back := freePorts(t, fixed)
	env = append(env, "DATABASE_URL="+db.DSN, "TASKRUNNER_URL="+there("http://127.0.0.1:8085"))

	module, err := filepath.Abs("../..")
	require.NoError(t, err)
	for name, text := range d.files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(there(text)), 0o600))
		if strings.HasSuffix(name, ".go") { // with the libraries of this module
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example\n"), 0o600))
			cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
			require.NoError(t, err)
			lines := strings.Split(string(cache), "\n")
			env = append(env, "GOFLAGS=-modfile="+filepath.Join(module, "go.mod"), "GOCACHE="+lines[0], "GOMODCACHE="+lines[1], "GOPROXY="+lines[2])
		}
	}
	var script strings.Builder
	if pgDumpIsOld(t, db, env[0]) {
		d.parts = slices.DeleteFunc(d.parts, func(part docPart) bool { return part.dump })
	}
	for i, part := range d.parts {
		fmt.Fprintf(&script, "exit_code=$?; set +e; printf '%s%d\\n'; (exit $exit_code)\n%s\n", docMark, i, there(part.script))
	}
	fmt.Fprintf(&script, "printf '%send\\n'\n", docMark)
	output := runShell(t, dir, env, script.String())

	for i, part := range d.parts {
		_, rest, began := strings.Cut(output, fmt.Sprintf("%s%d\n", docMark, i))
		written, _, ended := strings.Cut(rest, docMark)
		written = back(written)
		require.True(t, began && ended, "line %d: the commands fail:\n%s\nThey wrote:\n%s", part.line, part.script, written)
		if !part.silent && strings.TrimSpace(part.want) != strings.TrimSpace(written) {
			assert.Regexp(t, docPattern(part.want), docNormal(written), "line %d: %s\nwrote:\n%s\nnot:\n%s", part.line, part.script, written, part.want)
		}
	}
	db.AssertInvariants(t)
}

// pgDumpIsOld reports whether the pg_dump of a PATH is older than the server, or absent, as it is beside servers that were fetched.
func pgDumpIsOld(t *testing.T, db *testdb.DB, path string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "pg_dump --version")
	cmd.Env = []string{path}
	out, _ := cmd.Output() // absent: version 0
	var version, server int
	_, _ = fmt.Sscanf(string(out), "pg_dump (PostgreSQL) %d", &version)
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select current_setting('server_version_num')::integer / 10000").Scan(&server))
	return version < server
}

// runShell returns what the script writes until it ends. Whatever it has left behind is ended then.
func runShell(t *testing.T, dir string, env []string, script string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	require.NoError(t, err)
	defer file.Close()
	path := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(path, []byte(script), 0o600))
	cmd := exec.Command("/bin/sh", path)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	group := -cmd.Process.Pid
	guard := time.AfterFunc(docPatience, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer guard.Stop()
	_ = cmd.Wait() // what has failed is seen by the marks
	_ = syscall.Kill(group, syscall.SIGKILL)
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(text)
}

func docPortOf(t *testing.T, url string) string {
	t.Helper()
	_, port, found := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	require.True(t, found, url)
	return port
}

// nobody is told of webhooks.
type nobody struct{}

func (nobody) Webhook(demo.Event)     {}
func (nobody) Trouble(string, string) {}

// Links lead to files and headings that exist; so do the mentions of documents in what operators install.
func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	headings := func(path string) (anchors []string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, heading := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(string(text), -1) {
			anchor := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
		}
		return anchors
	}
	check := func(from, base, link string) {
		file, anchor, _ := strings.Cut(link, "#")
		path := filepath.Join(base, file)
		if file == "" {
			path = from
		}
		if _, err := os.Stat(path); !assert.NoError(t, err, "%s: %s", from, link) {
			return
		}
		if anchor != "" {
			assert.Contains(t, headings(path), anchor, "%s: %s", from, link)
		}
	}

	documents, _ := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	for _, from := range append(documents, filepath.Join(root, "README.md"), filepath.Join(root, "sql", "README.md")) {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^()\s]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(link[1], "://") {
				check(from, filepath.Dir(from), link[1])
			}
		}
	}
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "deploy"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\bdocs/[\w-]+\.md(?:#[\w-]+)?`).FindAllString(string(text), -1) {
			check(path, root, link)
		}
		return nil
	}))
}
