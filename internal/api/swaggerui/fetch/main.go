// Command fetch puts the files of Swagger UI that the page needs into internal/api/swaggerui/static. To take a newer
// release, change version and integrity; `npm view swagger-ui-dist dist.integrity` tells it.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	version   = "5.35.0"
	integrity = "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="
	folder    = "internal/api/swaggerui/static"
	maxSize   = 64 << 20
)

// wanted says which files of the package are kept, and which of them compressed.
var wanted = map[string]bool{
	"swagger-ui-bundle.js": true, "swagger-ui.css": true,
	"swagger-ui-bundle.js.LICENSE.txt": false, "LICENSE": false, "NOTICE": false,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	archive, err := download("https://registry.npmjs.org/swagger-ui-dist/-/swagger-ui-dist-" + version + ".tgz")
	if err != nil {
		return err
	}
	if sum := sha512.Sum512(archive); "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) != integrity {
		return errors.New("the package is not the one that was expected")
	}
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	found := 0
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(header.Name, "package/")
		compress, ok := wanted[name]
		if !ok {
			continue
		}
		found++
		if err := save(name, compress, files); err != nil {
			return err
		}
	}
	if found != len(wanted) {
		return fmt.Errorf("the package has %d of %d files", found, len(wanted))
	}
	return os.WriteFile(filepath.Join(folder, "VERSION"), []byte("swagger-ui-dist "+version+"\n"), 0o644)
}

func download(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxSize))
}

func save(name string, compress bool, from io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(from, maxSize))
	if err != nil {
		return err
	}
	if compress {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		name, raw = name+".gz", b.Bytes()
	}
	return os.WriteFile(filepath.Join(folder, name), raw, 0o644)
}
