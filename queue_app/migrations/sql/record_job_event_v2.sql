-- Writes the job's history. A trigger, so that no way of changing a job (API, admin, worker, plain SQL) can forget it.
-- Who, why and what programs said of it come from the settings reelkeep.actor, reelkeep.reason and reelkeep.details of
-- the transaction, where they are set.
CREATE OR REPLACE FUNCTION record_job_event() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    actor_ text := nullif(current_setting('reelkeep.actor', true), '');
    reason_ text := coalesce(nullif(current_setting('reelkeep.reason', true), ''), NEW.error_message, '');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO job_event (job_id, actor, to_status, attempt, reason)
        VALUES (NEW.id, coalesce(actor_, current_user), NEW.status, NEW.attempt, reason_);
    ELSE
        INSERT INTO job_event (
            job_id, actor, from_status, to_status, attempt, failure_class, bytes_done, seconds, reason, details
        ) VALUES (
            NEW.id, coalesce(actor_, NEW.worker_id, OLD.worker_id, current_user), OLD.status, NEW.status, NEW.attempt,
            CASE WHEN NEW.retry_count > OLD.retry_count THEN NEW.failure_class ELSE '' END,
            CASE WHEN OLD.lease_token IS NOT NULL THEN nullif(greatest(OLD.bytes_done, NEW.bytes_done), 0) END,
            CASE WHEN OLD.lease_token IS NOT NULL THEN extract(epoch FROM now() - OLD.claimed_at) END,
            reason_, coalesce(current_setting('reelkeep.details', true), '')
        );
    END IF;
    RETURN NULL;
END $$;
