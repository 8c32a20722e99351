-- +goose Up
-- It has other parameters now.
drop function if exists taskrunner_private.claim_candidates;

-- +goose Down
