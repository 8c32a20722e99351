// Answers of GET /view/graph in all shapes, without a service.

export const STATUSES = ['Waiting', 'Pending', 'Claimed', 'Running', 'Failure', 'Success', 'Paused', 'Canceled'];

/**
 * A batch of tasks given as {name, kind, status, start, end, parents: [names], optional: [names], …}.
 */
export function made(tasks) {
  const kinds = [...new Set(tasks.map((t) => t.kind ?? 'build'))];
  const at = new Map(tasks.map((t, i) => [t.name, i]));
  const links = { parent: [], child: [], required: [], bends: [] };
  const layer = tasks.map(() => 0);
  tasks.forEach((t, i) => {
    for (const [names, required] of [[t.parents, 1], [t.optional, 0]]) {
      for (const name of names ?? []) {
        links.parent.push(at.get(name));
        links.child.push(i);
        links.required.push(required);
        links.bends.push(0);
        layer[i] = Math.max(layer[i], layer[at.get(name)] + 1);
      }
    }
  });
  const used = [];
  const y = layer.map((l) => 20 + 60 * (used[l] = (used[l] ?? -1) + 1));
  return {
    batch_id: '00000000-0000-0000-0000-000000000000',
    batch_name: 'made',
    created_at: new Date(0).toISOString(),
    revision: 'r1',
    statuses: STATUSES,
    kinds,
    tasks: {
      id: tasks.map((t, i) => t.id ?? `${String(i).padStart(8, '0')}-0000-0000-0000-000000000000`),
      name: tasks.map((t) => t.name),
      kind: tasks.map((t) => kinds.indexOf(t.kind ?? 'build')),
      status: tasks.map((t) => STATUSES.indexOf(t.status ?? 'Waiting')),
      priority: tasks.map((t) => t.priority ?? 0),
      success: tasks.map((t) => t.success ?? 0),
      failures: tasks.map((t) => t.failures ?? 0),
      expected_count: tasks.map((t) => t.expected ?? null),
      created_at: tasks.map((t) => t.created ?? 0),
      started_at: tasks.map((t) => t.start ?? null),
      ended_at: tasks.map((t) => t.end ?? null),
      layer,
      x: layer.map((l) => 80 + 240 * l),
      y,
    },
    links,
    bends: { x: [], y: [] },
    external_links: [],
    width: 160 + 240 * Math.max(0, ...layer),
    height: 40 + Math.max(0, ...y),
  };
}

/** An event of GET /view/events about some tasks of an answer: [[index, {status, start, end, …}], …]. */
export function states(answer, changes) {
  const { tasks } = answer;
  const of = (i, change, key, column) => (key in change ? change[key] : tasks[column][i]);
  return {
    revision: answer.revision,
    index: changes.map(([i]) => i),
    status: changes.map(([i, c]) => ('status' in c ? STATUSES.indexOf(c.status) : tasks.status[i])),
    priority: changes.map(([i, c]) => of(i, c, 'priority', 'priority')),
    success: changes.map(([i, c]) => of(i, c, 'success', 'success')),
    failures: changes.map(([i, c]) => of(i, c, 'failures', 'failures')),
    expected_count: changes.map(([i, c]) => of(i, c, 'expected', 'expected_count')),
    started_at: changes.map(([i, c]) => of(i, c, 'start', 'started_at')),
    ended_at: changes.map(([i, c]) => of(i, c, 'end', 'ended_at')),
  };
}
