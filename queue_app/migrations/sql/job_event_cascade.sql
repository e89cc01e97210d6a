-- A job's history goes with the job, also when plain SQL deletes it.
DO $$
DECLARE
    name_ text;
BEGIN
    SELECT conname INTO STRICT name_ FROM pg_constraint WHERE conrelid = 'job_event'::regclass AND contype = 'f';
    EXECUTE format('ALTER TABLE job_event DROP CONSTRAINT %I', name_);
    EXECUTE format(
        'ALTER TABLE job_event ADD CONSTRAINT %I FOREIGN KEY (job_id) REFERENCES video_queue ON DELETE CASCADE'
        ' DEFERRABLE INITIALLY DEFERRED', name_);
END $$;
