-- Notes the bytes that a job in work is going to fill on these accounts, in the place of what it had noted before. For
-- the holder of the lease; false when it was lost.
CREATE OR REPLACE FUNCTION reserve_storage(p_id uuid, p_lease_token uuid, p_accounts integer[], p_size bigint)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM video_queue
    WHERE id = p_id AND lease_token = p_lease_token AND status IN ('downloading', 'uploading') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM storage_reservation WHERE job = p_id AND account_id <> ALL (p_accounts);
    INSERT INTO storage_reservation AS r (job, account_id, size)
    SELECT p_id, account, p_size FROM unnest(p_accounts) account
    ON CONFLICT ON CONSTRAINT storage_reservation_once DO UPDATE SET size = excluded.size WHERE r.size <> excluded.size;
    RETURN true;
END $$;
