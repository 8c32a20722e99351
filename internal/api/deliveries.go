package api

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

var (
	triggers         = []string{"Start", "End", "Cancel"}
	deliveryStatuses = []string{
		task.DeliveryPending, task.DeliverySending, task.DeliveryDone, task.DeliveryDead, task.DeliveryCanceled}
	// replayable are the states of which many deliveries can be replayed at once.
	replayable = []string{task.DeliveryDead, task.DeliveryDone, task.DeliveryCanceled}
)

// mostLogged is how many deliveries of a task are shown to who names no page_size. Hardly a task has more; their logs are large.
const mostLogged = 1000

// taskDeliveries is GET /task/{task_id}/deliveries.
func (s *server) taskDeliveries(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	page := s.page(q, logList, mostLogged)
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.Store.TaskDeliveries(r.Context(), id, page)
	if err != nil {
		return err
	}
	return replyPage(w, logList, list, next)
}

// listDeliveries is GET /deliveries.
func (s *server) listDeliveries(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	f := task.DeliveryFilter{
		Status:  oneOf(q, "status", deliveryStatuses...),
		Trigger: oneOf(q, "trigger", triggers...),
		TaskID:  q.uuid("task_id"),
		BatchID: q.uuid("batch_id"),
		From:    q.since("from"),
		To:      q.until("to"),
	}
	if host := q.text("host"); host != "" {
		f.Host = &host
	}
	page := s.page(q, deliveryList, s.PageSize)
	if err := q.err(); err != nil {
		return err
	}
	list, next, err := s.Store.Deliveries(r.Context(), f, page)
	if err != nil {
		return err
	}
	return replyPage(w, deliveryList, list, next)
}

// replayDelivery is POST /delivery/{delivery_id}/replay. No body is read.
func (s *server) replayDelivery(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	d, err := s.Store.ReplayDelivery(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, d)
}

// replayed is the answer of POST /deliveries/replay.
type replayed struct {
	Replayed int64 `json:"replayed"`
}

// replayBounds are the members of which a replay of many must have one, so that nobody replays everything by mistake.
var replayBounds = []string{"from", "to", "host", "batch_id", "task_id"}

// replayDeliveries is POST /deliveries/replay.
func (s *server) replayDeliveries(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	f, err := s.readFields(w, r)
	if err != nil {
		return err
	}
	bounded := false
	for _, name := range replayBounds {
		_, given := f.member(name)
		bounded = bounded || given
	}
	if !bounded {
		f.fault(replayBounds[0], "at least one of "+strings.Join(replayBounds, ", ")+" is required")
	}
	filter := task.DeliveryFilter{
		From:    f.since("from"),
		To:      f.until("to"),
		Host:    f.text("host"),
		BatchID: f.uuid("batch_id"),
		TaskID:  f.uuid("task_id"),
		Trigger: f.word("trigger", triggers...),
		Status:  f.word("status", replayable...),
	}
	if filter.Host != nil && *filter.Host == "" {
		f.fault("host", "must not be empty")
	}
	if err := f.err(); err != nil {
		return err
	}
	if filter.Status == nil {
		filter.Status = &replayable[0]
	}
	n, err := s.Store.ReplayDeliveries(r.Context(), filter)
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, replayed{Replayed: n})
}
