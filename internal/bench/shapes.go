package bench

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// shape is a graph of $1 tasks numbered 0..$1-1, in the temporary table bench_task(i, id). links selects
// (parent i, child i).
type shape struct {
	name  string
	links string
	// layer is the number of steps between a task and a root, as an expression over i: the floor runs layer by layer.
	layer string
	least int // tasks that the graph needs
}

// Layers and parents (fewer where a layer is narrower) of the layered shape, and the length of a chain.
const (
	layers      = 20
	layerParent = 3
	chainLength = 20
)

var shapes = []shape{
	{name: "independent", links: "select 0, 0 where false and $1 > 0", layer: "0 * $1", least: 1},
	{name: "fan-out", links: "select 0, i from generate_series(1, $1 - 1) i", layer: "least(i, 1) + 0 * $1", least: 1},
	{name: "fan-in", links: "select i, $1 - 1 from generate_series(0, $1 - 2) i", layer: "i / ($1 - 1)", least: 2},
	{
		name: "layered",
		links: fmt.Sprintf(`select (i / width - 1) * width + (i + k) %% width, i
			from (select $1 / %d as width) w, generate_series(width, $1 - 1) i, generate_series(0, least(width, %d) - 1) k
			where i / width < %[1]d`, layers, layerParent),
		layer: fmt.Sprintf("case when i < $1 / %d * %[1]d then i / ($1 / %[1]d) else 0 end", layers),
		least: layers,
	},
	{
		name:  "chain",
		links: fmt.Sprintf("select i - 1, i from generate_series(1, $1 - 1) i where i %% %d <> 0", chainLength),
		layer: fmt.Sprintf("i %% %d + 0 * $1", chainLength),
		least: 1,
	},
}

// Shapes lists the names of all shapes.
func Shapes() []string {
	names := make([]string, 0, len(shapes)+1)
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return append(names, insertName)
}

func shapeByName(name string) (shape, bool) {
	for _, s := range shapes {
		if s.name == name {
			return s, true
		}
	}
	return shape{}, false
}

// seed writes the graph as a trusted system would, by plain INSERTs, and keeps the layer of each task for the floor.
func seed(ctx context.Context, pool *pgxpool.Pool, s shape, n int) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{"create table public.bench_task as select i, taskrunner.uuidv7() as id, (" + s.layer +
				")::int as layer from generate_series(0, $1::int - 1) i", []any{n}},
			{"alter table public.bench_task add primary key (i)", nil},
			{"analyze public.bench_task", nil},
			{"insert into taskrunner.batch (id, name) values ('00000000-0000-4000-8000-0000000000b1', 'bench')", nil},
			{`insert into taskrunner.task (id, batch_id, name, kind, metadata)
				select id, '00000000-0000-4000-8000-0000000000b1', 'task ' || i, 'bench', '{"tenant": "a"}'
				from public.bench_task order by i`, nil},
			{`insert into taskrunner.action (task_id, trigger, params)
				select id, 'Start', '{"url": "http://127.0.0.1:9/start", "verb": "Post"}' from public.bench_task order by i`, nil},
			{`insert into taskrunner.link (parent_id, child_id, requires_success)
				select p.id, c.id, true from (` + s.links + `) l (parent, child)
				join public.bench_task p on p.i = l.parent join public.bench_task c on c.i = l.child`, []any{n}},
		} {
			sql := step.sql
			if len(step.args) == 1 {
				sql = substitute(sql, n)
			}
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, "vacuum analyze")
	return err
}
