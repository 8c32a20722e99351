package browsertest

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// downloads is what the page hands to the person in front of it.
type downloads struct {
	b    *tab
	dir  string
	seen map[string]bool
}

func newDownloads(b *tab) *downloads {
	b.t.Helper()
	d := &downloads{b: b, dir: b.t.TempDir(), seen: map[string]bool{}}
	_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: d.dir,
	})
	require.NoError(b.t, err)
	return d
}

// file is one that was downloaded.
type file struct {
	name    string
	content []byte
}

// next is the next file.
func (d *downloads) next() (got file) {
	d.b.t.Helper()
	until(d.b.t, func() bool {
		entries, err := os.ReadDir(d.dir)
		require.NoError(d.b.t, err)
		for _, e := range entries {
			if d.seen[e.Name()] || filepath.Ext(e.Name()) == ".crdownload" || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			d.seen[e.Name()] = true
			content, err := os.ReadFile(filepath.Join(d.dir, e.Name()))
			require.NoError(d.b.t, err)
			got = file{e.Name(), content}
			return true
		}
		return false
	}, "nothing is downloaded")
	return got
}

type svg struct {
	elements map[string]int
	text     string
}

// readSVG reads a file that has to be well-formed.
func readSVG(t *testing.T, f file) (read svg) {
	t.Helper()
	require.Equal(t, ".svg", filepath.Ext(f.name))
	read.elements = map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(f.content)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return read
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			if len(read.elements) == 0 {
				require.Equal(t, xml.Name{Space: "http://www.w3.org/2000/svg", Local: "svg"}, e.Name)
			}
			read.elements[e.Name.Local]++
		case xml.CharData:
			read.text += string(e)
		}
	}
}

// readCSV reads a file of columns with a head.
func readCSV(t *testing.T, f file) (rows []map[string]string) {
	t.Helper()
	require.Equal(t, ".csv", filepath.Ext(f.name))
	lines, err := csv.NewReader(bytes.NewReader(f.content)).ReadAll()
	require.NoError(t, err)
	for _, line := range lines {
		row := map[string]string{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// The picture and the table can be taken along: as SVG, PNG and CSV that other programs can read.
func TestExports(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("to take along", hooks.task("first, with a comma", "k", "/ok"), hooks.task(`second "quoted"`, "k", "/fail", "first, with a comma"),
		hooks.task("=1+1", "k", "/hold", `second "quoted"`), hooks.task("größer & <kleiner>", "k", "/hold"))
	s.awaitStatus(made.tasks["=1+1"].ID, task.Failure)
	s.awaitStatus(made.tasks["größer & <kleiner>"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	b.awaitCount(task.Failure, 2)
	b.awaitCount(task.Running, 1)
	files := newDownloads(b)

	b.click("export")
	b.click("export-csv")
	rows := readCSV(t, files.next())
	require.Len(t, rows, 1+4)
	for i, want := range []struct{ name, status string }{
		{"first, with a comma", "Success"}, {`second "quoted"`, "Failure"}, {"'=1+1", "Failure"}, {"größer & <kleiner>", "Running"},
	} {
		require.Equal(t, want.name, rows[i+1]["name"])
		require.Equal(t, want.status, rows[i+1]["status"])
	}

	b.click("export")
	b.click("export-svg")
	picture := readSVG(t, files.next())
	for name := range made.tasks {
		require.Contains(t, picture.text, name)
	}

	b.click("export")
	b.click("export-png")
	content := files.next()
	require.Equal(t, ".png", filepath.Ext(content.name))
	img, err := png.Decode(bytes.NewReader(content.content))
	require.NoError(t, err)
	failure, found := b.colour(task.Failure), 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if near(color.RGBAModel.Convert(img.At(x, y)).(color.RGBA), failure) {
				found++
			}
		}
	}
	require.Greater(t, found, 50, "the failed tasks are in their colour")
}
