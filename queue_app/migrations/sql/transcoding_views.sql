-- CONTRACT §1.1. security_invoker: who may not read the table may not read it through the view either.
CREATE OR REPLACE VIEW active_transcoding_jobs WITH (security_invoker = true) AS
    SELECT id, file_id, status, progress, attempt, worker_id, error_message, options, created_at, started_at
    FROM media_job WHERE kind = 'transcode' AND status IN ('pending', 'processing');

CREATE OR REPLACE VIEW transcoding_history WITH (security_invoker = true) AS
    SELECT id, file_id, status, progress, attempt, worker_id, error_message, options, result, created_at, started_at,
           completed_at, completed_at - started_at AS duration
    FROM media_job WHERE kind = 'transcode' AND status IN ('completed', 'failed', 'cancelled');
