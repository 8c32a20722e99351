-- +goose Up
-- When rules were last decided by which a shape is counted, and which shapes a gate's requirements name: a shape that nobody has
-- used for long, and for which nobody waits, is not counted any more.
alter table taskrunner_private.limit_shape add column used_at timestamptz not null default now();
alter table taskrunner_private.gate add column shape_ids integer[] not null default '{}';
insert into taskrunner_private.chore (name) values ('drop_shapes');

-- +goose Down
delete from taskrunner_private.chore where name = 'drop_shapes';
alter table taskrunner_private.gate drop column shape_ids;
alter table taskrunner_private.limit_shape drop column used_at;
