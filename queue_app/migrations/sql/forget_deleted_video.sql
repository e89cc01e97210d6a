-- A video that is deleted from the store is no longer ready, and no job of it that still waits or runs may bring it back:
-- its job is cancelled, whatever way the video was deleted. Asking for the video anew revives the job. Who and why come
-- from the settings reelkeep.actor and reelkeep.reason of the transaction, where they are set.
CREATE OR REPLACE FUNCTION forget_deleted_video() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    reason_ text := coalesce(nullif(current_setting('reelkeep.reason', true), ''), 'The video was deleted.');
BEGIN
    UPDATE video_queue q
    SET status = 'cancelled', error_message = reason_, not_before = NULL, stage = '', speed = NULL,
        lease_token = NULL, lease_expires_at = NULL, artifact = NULL
    WHERE q.mal_id = OLD.mal_id AND q.episode = OLD.episode AND q.provider = OLD.provider
      AND q.resolution IS NOT DISTINCT FROM OLD.resolution
      AND q.status IN ('pending', 'downloading', 'uploading', 'ready');
    RETURN NULL;
END $$;

CREATE TRIGGER video_store_forget AFTER DELETE ON video_store
    FOR EACH ROW EXECUTE FUNCTION forget_deleted_video();
