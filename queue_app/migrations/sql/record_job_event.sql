-- Writes the job's history. A trigger, so that no way of changing a job (API, admin, worker, plain SQL) can forget it.
-- Who and why come from the settings reelkeep.actor and reelkeep.reason of the transaction, where they are set.
CREATE OR REPLACE FUNCTION record_job_event() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    old_status text := '';
    old_worker text;
    failure text := '';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        old_status := OLD.status;
        old_worker := OLD.worker_id;
        IF NEW.retry_count > OLD.retry_count THEN
            failure := NEW.failure_class;
        END IF;
    END IF;
    INSERT INTO job_event (job_id, actor, from_status, to_status, attempt, failure_class, reason)
    VALUES (
        NEW.id, coalesce(nullif(current_setting('reelkeep.actor', true), ''), NEW.worker_id, old_worker, current_user),
        old_status, NEW.status, NEW.attempt, failure,
        coalesce(nullif(current_setting('reelkeep.reason', true), ''), NEW.error_message, '')
    );
    RETURN NULL;
END $$;

CREATE TRIGGER video_queue_event_insert AFTER INSERT ON video_queue
    FOR EACH ROW EXECUTE FUNCTION record_job_event();
CREATE TRIGGER video_queue_event_update AFTER UPDATE OF status, retry_count ON video_queue
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.retry_count <> NEW.retry_count) EXECUTE FUNCTION record_job_event();
