package api

import (
	"net/http"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// idempotencyHeader makes a POST /task that is repeated create nothing again (contract, section 4.1).
	idempotencyHeader = "Idempotency-Key"
	// replayedHeader tells that an earlier request got this answer.
	replayedHeader = "Idempotent-Replayed"
	// maxIdempotencyKey is the length of a key.
	maxIdempotencyKey = 255
)

// idempotencyKey reads the key of a request, nil if it has none. Two lines of the header are refused: nobody could tell
// which one counts. The body has been read.
func (s *server) idempotencyKey(r *http.Request) (*task.IdempotencyKey, error) {
	lines := r.Header.Values(idempotencyHeader)
	switch {
	case len(lines) == 0:
		return nil, nil
	case len(lines) > 1:
		return nil, invalid(validation, idempotencyHeader+": must occur only once")
	case !isIdempotencyKey(lines[0]):
		return nil, invalid(validation, idempotencyHeader+": must be 1 to 255 printable ASCII characters")
	}
	return &task.IdempotencyKey{
		TokenName: tokenName(r), Key: lines[0], BodyHash: callOf(r).sent, Life: s.IdempotencyLife,
	}, nil
}

func isIdempotencyKey(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxIdempotencyKey
}
