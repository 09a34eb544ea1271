//! A member of a group as a scenario has it: it joins, syncs, beats, commits and leaves when it is
//! told to, over a connection for what may be parked and one for what may not wait behind it.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    SyncGroupRequest, SyncGroupResponse,
};

use super::super::Subject;
use super::super::calls::{poll, text};
use super::super::client::Client;
use super::requests::{self, COMMIT, FIND, HEARTBEAT, JOIN, LEAVE, PATIENCE_MS, Position, SYNC};

pub struct Member {
    /// Joins and syncs.
    pub client: Client,
    /// Everything else.
    pub aside: Client,
    pub group: String,
    /// As the coordinator has given it; empty before the first join.
    pub id: String,
    pub instance: Option<String>,
    pub generation: i32,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<(String, Vec<u8>)>,
}

impl Member {
    pub fn new(subject: &Subject, group: &str) -> Member {
        Member {
            client: subject.connect(),
            aside: subject.connect(),
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
            session_timeout_ms: PATIENCE_MS,
            rebalance_timeout_ms: PATIENCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), b"meta".to_vec())],
        }
    }

    /// A static member.
    pub fn instance(mut self, id: &str) -> Member {
        self.instance = Some(id.to_owned());
        self
    }

    pub fn speaking(mut self, protocol_type: &str, protocols: &[(&str, &[u8])]) -> Member {
        self.protocol_type = protocol_type.to_owned();
        self.offer(protocols);
        self
    }

    pub fn offer(&mut self, protocols: &[(&str, &[u8])]) {
        let protocols = protocols.iter();
        self.protocols = protocols
            .map(|(name, metadata)| ((*name).to_owned(), metadata.to_vec()))
            .collect();
    }

    pub fn with_timeouts(mut self, session_ms: i32, rebalance_ms: i32) -> Member {
        self.session_timeout_ms = session_ms;
        self.rebalance_timeout_ms = rebalance_ms;
        self
    }

    pub fn join_request(&self) -> JoinGroupRequest {
        let protocols: Vec<(&str, &[u8])> = self
            .protocols
            .iter()
            .map(|(name, metadata)| (&**name, &**metadata))
            .collect();
        requests::join(JOIN, &self.group, &self.id, &self.protocol_type, &protocols)
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(self.rebalance_timeout_ms)
            .with_group_instance_id(self.instance.as_deref().map(text))
    }

    /// Asks the coordinator for a member id, where it has none and is not static.
    #[track_caller]
    pub fn be_named(&mut self) {
        if self.id.is_empty() && self.instance.is_none() {
            let answer = self.client.call(JOIN, &self.join_request());
            assert_eq!(answer.error_code, 79, "{answer:?}");
            self.id = answer.member_id.to_string();
        }
    }

    /// Sends the join that counts; its answer may be long in coming.
    #[track_caller]
    pub fn send_join(&mut self) -> i32 {
        self.be_named();
        self.client.send(JOIN, &self.join_request())
    }

    /// What the join was answered, taken over where it succeeded.
    #[track_caller]
    pub fn joined(&mut self, sent: i32) -> JoinGroupResponse {
        let answer = self.client.receive::<JoinGroupRequest>(JOIN, sent);
        if answer.error_code == 0 {
            self.id = answer.member_id.to_string();
            self.generation = answer.generation_id;
        }
        answer
    }

    /// A join that is answered at once.
    #[track_caller]
    pub fn join(&mut self) -> JoinGroupResponse {
        let sent = self.send_join();
        self.joined(sent)
    }

    pub fn sync_request(&self, assignments: &[(&str, &[u8])]) -> SyncGroupRequest {
        requests::sync(SYNC, &self.group, &self.id, self.generation, assignments)
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text(&self.protocol_type)))
            .with_protocol_name(Some(text(&self.protocols[0].0)))
    }

    #[track_caller]
    pub fn send_sync(&mut self, assignments: &[(&str, &[u8])]) -> i32 {
        self.client.send(SYNC, &self.sync_request(assignments))
    }

    #[track_caller]
    pub fn synced(&mut self, sent: i32) -> SyncGroupResponse {
        self.client.receive::<SyncGroupRequest>(SYNC, sent)
    }

    /// A sync that is answered at once.
    #[track_caller]
    pub fn sync(&mut self, assignments: &[(&str, &[u8])]) -> SyncGroupResponse {
        let sent = self.send_sync(assignments);
        self.synced(sent)
    }

    pub fn heartbeat_request(&self) -> HeartbeatRequest {
        requests::heartbeat(&self.group, &self.id, self.generation)
            .with_group_instance_id(self.instance.as_deref().map(text))
    }

    #[track_caller]
    pub fn heartbeat(&mut self) -> i16 {
        let request = self.heartbeat_request();
        self.aside.call(HEARTBEAT, &request).error_code
    }

    pub fn leave_request(&self) -> LeaveGroupRequest {
        let instance = self.instance.as_deref();
        requests::leave(LEAVE, &self.group, &[(&self.id, instance)])
    }

    #[track_caller]
    pub fn leave(&mut self) -> i16 {
        let answer = self.aside.call(LEAVE, &self.leave_request());
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.members[0].error_code
    }

    pub fn commit_request(&self, topic: &str, positions: &[Position<'_>]) -> OffsetCommitRequest {
        requests::commit(COMMIT, &self.group, topic, positions)
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
    }

    /// Of partition 0.
    #[track_caller]
    pub fn commit(&mut self, topic: &str, offset: i64) -> i16 {
        let request = self.commit_request(topic, &[requests::at(0, offset)]);
        let answer = self.aside.call(COMMIT, &request);
        answer.topics[0].partitions[0].error_code
    }
}

impl Subject {
    /// Waits until the internal topic has been made and loaded.
    #[track_caller]
    pub fn await_coordinator(&self) {
        let mut client = self.connect();
        poll("the coordinator", || {
            let found = client.call(FIND, &requests::find(FIND, &["any"]));
            let error = found.coordinators[0].error_code;
            assert!([0, 15].contains(&error), "{found:?}");
            if error != 0 {
                return None;
            }
            let request = requests::fetch(7, "any", Some(&[("t", &[0])]));
            match client.call(7, &request).error_code {
                0 => Some(()),
                // Loading, or not leading yet.
                14..=16 => None,
                other => panic!("error {other} of a coordinator that begins"),
            }
        });
    }
}

impl Client {
    #[track_caller]
    pub fn described(&mut self, group: &str) -> DescribedGroup {
        let mut answer = self.call(5, &requests::describe(&[group]));
        assert_eq!(answer.groups.len(), 1, "{answer:?}");
        answer.groups.remove(0)
    }

    /// Waits until the group is in a state.
    #[track_caller]
    pub fn await_state(&mut self, group: &str, state: &str) {
        poll(&format!("{group} to be {state}"), || {
            (&*self.described(group).group_state == state).then_some(())
        });
    }

    /// Waits until the group has so many members, the ones that are only parked included.
    #[track_caller]
    pub fn await_members(&mut self, group: &str, count: usize) {
        poll(&format!("{group} to have {count} members"), || {
            (self.described(group).members.len() == count).then_some(())
        });
    }

    /// The committed offset of a partition; −1 without one.
    #[track_caller]
    pub fn committed(&mut self, group: &str, topic: &str, partition: i32) -> i64 {
        let topics: &[(&str, &[i32])] = &[(topic, &[partition])];
        let request = requests::fetch(requests::FETCH, group, Some(topics));
        let answer = self.call(requests::FETCH, &request);
        let group = &answer.groups[0];
        assert_eq!(group.error_code, 0, "{answer:?}");
        let partition = &group.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0, "{answer:?}");
        partition.committed_offset
    }

    /// Commits partition 0 from outside any group membership.
    #[track_caller]
    pub fn commit_alone(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        let request = requests::commit(COMMIT, group, topic, &[requests::at(0, offset)]);
        let answer = self.call(COMMIT, &request);
        answer.topics[0].partitions[0].error_code
    }
}

/// What the leader of [`stable`] assigns to member `n`.
pub fn share_of(n: usize) -> Vec<u8> {
    format!("share of {n}").into_bytes()
}

/// Lets everybody join a new group, so that all are in one generation, which the first one leads.
/// Returns the answers in the order of the members.
#[track_caller]
pub fn join_together(members: &mut [Member]) -> Vec<JoinGroupResponse> {
    let group = members[0].group.clone();
    let (first, others) = members.split_first_mut().expect("members");
    let count = others.len() + 1;
    let alone = first.join();
    assert_eq!(alone.error_code, 0, "{alone:?}");
    if others.is_empty() {
        return vec![alone];
    }
    // The first one must not come back before the others are seen to want in, or it would be
    // given the generation it has.
    let sent: Vec<i32> = others.iter_mut().map(Member::send_join).collect();
    first.aside.await_members(&group, count);
    first.aside.await_state(&group, "PreparingRebalance");
    let mut answers = vec![first.join()];
    let rest = others.iter_mut().zip(sent);
    answers.extend(rest.map(|(member, sent)| member.joined(sent)));
    for answer in &answers {
        assert_eq!(answer.error_code, 0, "{answer:?}");
    }
    answers
}

/// Everybody syncs; the leader gives each their share.
#[track_caller]
pub fn sync_together(members: &mut [Member], leader: &str) {
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    let shares: Vec<Vec<u8>> = (0..ids.len()).map(share_of).collect();
    let assignments: Vec<(&str, &[u8])> = ids
        .iter()
        .zip(&shares)
        .map(|(id, share)| (&**id, &**share))
        .collect();
    let sent: Vec<i32> = members
        .iter_mut()
        .map(|member| {
            let given = if member.id == leader {
                &*assignments
            } else {
                &[]
            };
            member.send_sync(given)
        })
        .collect();
    for (n, (member, sent)) in members.iter_mut().zip(sent).enumerate() {
        let answer = member.synced(sent);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        assert_eq!(answer.assignment, Bytes::from(share_of(n)));
    }
}

/// A stable group of so many members; the first one leads it.
#[track_caller]
pub fn stable(subject: &Subject, group: &str, count: usize) -> Vec<Member> {
    let mut members: Vec<Member> = (0..count).map(|_| Member::new(subject, group)).collect();
    stabilise(&mut members);
    members
}

/// The same of members that wait outside.
#[track_caller]
pub fn stabilise(members: &mut [Member]) {
    let answers = join_together(members);
    let leader = answers[0].leader.to_string();
    sync_together(members, &leader);
}

/// ConsumerProtocolSubscription v0.
pub fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1); // user data
    bytes
}
