-- +goose Up
-- Limits of shapes from this number on are told apart by how their values nest as well (functions/limit_id.sql); those that are
-- counted already keep their limits.
alter table taskrunner_private.limit_shape alter column id restart with 1073741824;

-- +goose Down
alter table taskrunner_private.limit_shape alter column id restart with 536870912;
