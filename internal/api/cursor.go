package api

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// nextCursorHeader is on an answer exactly when more rows follow.
const nextCursorHeader = "X-Next-Cursor"

// listKind says to which list a cursor belongs.
type listKind byte

const (
	taskList     listKind = 't'
	batchList    listKind = 'b'
	deliveryList listKind = 'd' // this and the next are ordered by id, where the others are by seq
	logList      listKind = 'l' // the deliveries of a task
)

func (l listKind) byID() bool { return l == deliveryList || l == logList }

// A cursor is the position of the last row of a page: version, list, created_at in microseconds, seq or id; as base64url.
const cursorVersion = 1

// The years in which a row can have been created.
var (
	firstCreated = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastCreated  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

// newCursor writes a position in a list.
func newCursor(list listKind, p task.Position) string {
	raw := []byte{cursorVersion, byte(list)}
	raw = binary.BigEndian.AppendUint64(raw, uint64(p.CreatedAt.UnixMicro()))
	if list.byID() {
		raw = append(raw, p.ID[:]...)
	} else {
		raw = binary.BigEndian.AppendUint64(raw, uint64(p.Seq))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parseCursor reads a position in a list. It takes nothing that newCursor does not write.
func parseCursor(list listKind, text string) (*task.Position, bool) {
	const head, number = 2, 8
	length := head + number + number
	if list.byID() {
		length = head + number + len(uuid.UUID{})
	}
	// The length comes first, because the decoder steps over line ends.
	if len(text) != base64.RawURLEncoding.EncodedLen(length) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != length || raw[0] != cursorVersion || raw[1] != byte(list) {
		return nil, false
	}
	created := int64(binary.BigEndian.Uint64(raw[head:]))
	if created < firstCreated || created > lastCreated {
		return nil, false
	}
	p := &task.Position{CreatedAt: time.UnixMicro(created).UTC()}
	if list.byID() {
		p.ID = uuid.UUID(raw[head+number:])
	} else {
		p.Seq = int64(binary.BigEndian.Uint64(raw[head+number:]))
	}
	return p, true
}

// replyPage answers with a page of a list. next is its last row if more rows follow, else nil.
func replyPage[T any](w http.ResponseWriter, list listKind, rows []T, next *task.Position) error {
	if next != nil {
		w.Header().Set(nextCursorHeader, newCursor(list, *next))
	}
	if rows == nil {
		rows = []T{}
	}
	return reply(w, http.StatusOK, rows)
}
