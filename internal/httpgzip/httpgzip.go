// Package httpgzip answers compressed to whoever takes that.
package httpgzip

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// Taken reports whether a client takes answers that are compressed by gzip.
func Taken(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, parameter, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			quality, weighted := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			weight, err := strconv.ParseFloat(quality, 64)
			return !weighted || err == nil && weight > 0
		}
	}
	return false
}

// Compress returns the bytes compressed, at a level of package gzip.
func Compress(plain []byte, level int) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		panic(err) // there is no such level
	}
	_, _ = w.Write(plain) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
