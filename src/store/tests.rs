//! The index lost, damaged, or another one's: never more than an empty index.

use uuid::Uuid;

use super::*;
use crate::metadata::image::MetadataOffset;
use crate::metadata::records::{Partition, TOPIC_RESOURCE};
use crate::types::TopicId;

const ME: BrokerId = BrokerId(1);

fn image(topics: u128) -> Image {
    let mut records = vec![MetadataRecord::FeatureLevel {
        name: "metadata.version".to_owned(),
        feature_level: 27,
    }];
    records.push(MetadataRecord::ProducerIds {
        broker_id: ME,
        broker_epoch: 3,
        next_producer_id: 2000,
    });
    for number in 0..topics {
        let topic_id = TopicId(Uuid::from_u128(number + 1));
        let name = format!("t{number}");
        records.push(MetadataRecord::Topic {
            name: name.clone(),
            topic_id,
        });
        records.push(MetadataRecord::Config {
            resource_type: TOPIC_RESOURCE,
            resource_name: name,
            name: "retention.ms".to_owned(),
            value: Some("5".to_owned()),
        });
        records.push(MetadataRecord::Partition(Partition {
            partition_id: 0,
            topic_id,
            replicas: vec![ME],
            isr: vec![ME],
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: Some(ME),
            recovering: false,
            leader_epoch: 4,
            partition_epoch: 9,
            directories: vec![Uuid::from_u128(7)],
        }));
    }
    let numbered = (0..).map(MetadataOffset).zip(&records);
    Image::empty("c").apply(numbered).unwrap()
}

#[test]
fn an_image_reads_back_and_rows_that_went_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "c", ME).unwrap();
    assert_eq!(store.load_image(), None);
    store.save_image(&image(20), 6).unwrap();
    store.save_image(&image(3), 7).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path(), "c", ME).unwrap();
    let (loaded, term) = store.load_image().unwrap();
    assert_eq!((loaded, term), (image(3), 7));
}

#[test]
fn an_index_of_another_cluster_or_node_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    for (cluster, node) in [("c", 1), ("d", 1), ("d", 2)] {
        let store = Store::open(dir.path(), cluster, BrokerId(node)).unwrap();
        assert_eq!(store.load_image(), None);
        store.save_image(&image(1), 1).unwrap();
        store.close().unwrap();
    }
}

#[test]
fn a_damaged_index_is_emptied_and_an_impossible_one_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "c", ME).unwrap();
    store.save_image(&image(500), 1).unwrap();
    store.close().unwrap();
    let path = dir.path().join(DIRECTORY);
    for file in fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::write(file.path(), [0x5a; 3000]).unwrap();
        }
    }
    let store = Store::open(dir.path(), "c", ME).unwrap();
    assert_eq!(store.load_image(), None);
    drop(store);
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    assert!(Store::open(dir.path(), "c", ME).is_none());
}
