//! Finding a batch again whose creation was not answered.

use std::time::Duration;

use tokio::time::sleep;

use super::api::BatchApi;
use super::batch::Batch;
use super::batch_list::BatchList;

/// The pauses before each look: a list may lag behind.
const PAUSES: [u64; 4] = [0, 1, 2, 4];

/// How many of the newest batches are looked at.
const NEWEST: u32 = 100;

/// The member of a batch's metadata that tells it from all others.
pub(crate) const METADATA: &str = "qwen_batch";

/// Looks for the batch that was made of `input_file`, which only this program knows, or has `mark` in its metadata; `None`
/// where the list does not show it, or cannot be read.
pub(crate) async fn find(api: &BatchApi, input_file: &str, mark: Option<&str>) -> Option<Batch> {
    for pause in PAUSES {
        sleep(Duration::from_secs(pause)).await;
        let page = match BatchList::new(api).next_page(NEWEST).await {
            Ok(page) => page,
            Err(error) if error.may_pass() => continue,
            Err(_) => return None,
        };
        let is_it = |batch: &Batch| {
            batch.input_file() == input_file || (mark.is_some() && batch.metadata(METADATA) == mark)
        };
        if let Some(batch) = page.into_iter().flatten().find(is_it) {
            return Some(batch);
        }
    }
    None
}
