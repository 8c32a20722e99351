-- +goose Up
-- It returns the end of the leases now.
drop function if exists taskrunner_private.claim_deliveries;

-- +goose Down
drop function if exists taskrunner_private.claim_deliveries;
