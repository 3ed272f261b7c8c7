use super::*;
use crate::wire::Put;
use crate::wire::event::write_notification;
use crate::wire::header::ReplyFrame;
use crate::{Code, Zxid};

fn open() -> Core<u32> {
    let mut core = Core::new(Options::default());
    let mut sent = Vec::new();
    assert!(core.connect(Millis(0), &mut sent).is_empty());
    let request = ConnectRequest::read(&sent[4..]).unwrap();
    assert_eq!((request.session, request.timeout_ms), (0, 10_000));
    let mut bytes = Vec::new();
    let response = ConnectResponse {
        timeout_ms: 6_000,
        session: 77,
        password: [9; 16],
        read_only: Some(false),
    };
    response.write_frame(&mut bytes);
    assert_eq!(core.receive(&mut &bytes[..]), Ok(Some(Message::Connected(response))));
    core
}

fn reply(xid: i32, zxid: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = ReplyFrame::begin(&mut bytes, xid, Zxid(zxid), Code::Ok);
    bytes.put_int(42);
    frame.finish(&mut bytes);
    bytes
}

fn event(zxid: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_notification(&mut bytes, zxid, EventType::NodeDataChanged, "/a");
    bytes
}

fn request(core: &mut Core<u32>, tag: u32) -> i32 {
    core.request(&Request::Exists { path: "/a", watch: false }, tag, &mut Vec::new())
}

fn request_all(core: &mut Core<u32>, tags: std::ops::Range<u32>) {
    for tag in tags {
        request(core, tag);
    }
}

fn receive_all(core: &mut Core<u32>, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    while core.receive(&mut rest).unwrap().is_some() {
        count += 1;
    }
    assert!(rest.is_empty());
    count
}

#[test]
fn replies_are_paired_in_order_and_split_anywhere() {
    let mut core = open();
    assert_eq!((request(&mut core, 10), request(&mut core, 11)), (1, 2));
    let bytes = [reply(1, 5), reply(2, 5)].concat();
    let mut tags = Vec::new();
    let mut from = 0;
    for end in 0..=bytes.len() {
        let mut rest = &bytes[from..end];
        if let Some(Message::Reply(reply)) = core.receive(&mut rest).unwrap() {
            assert_eq!((reply.op, reply.err, reply.body.number()), (op::EXISTS, 0, Ok(42)));
            tags.push(reply.tag);
            from = end - rest.len();
        }
    }
    assert_eq!((tags, core.in_flight()), (vec![10, 11], 0));
    assert_eq!(core.session().last_zxid, 5);
    assert!(core.take_violations().is_empty());
}

#[test]
fn a_reply_out_of_order_counts_once() {
    let mut core = open();
    request_all(&mut core, 0..3);
    let bytes = [reply(1, 5), reply(9, 5), reply(3, 5), reply(4, 5)].concat();
    assert_eq!(receive_all(&mut core, &bytes), 4);
    let expected = [Violation::XidOrder { expected: 2, got: 9 }, Violation::Stray { got: 4 }];
    assert_eq!(core.take_violations(), expected);
}

#[test]
fn an_older_zxid_is_a_violation() {
    let mut core = open();
    request_all(&mut core, 0..2);
    receive_all(&mut core, &[reply(1, 9), reply(2, 8)].concat());
    assert_eq!(core.take_violations(), [Violation::ZxidBack { seen: 9, got: 8 }]);
    assert_eq!(core.session().last_zxid, 9);
}

#[test]
fn events_come_before_the_replies_that_show_them() {
    let mut core = open();
    request_all(&mut core, 0..2);
    receive_all(&mut core, &[event(6), reply(1, 5), reply(2, 6), event(-1)].concat());
    assert!(core.take_violations().is_empty());
    receive_all(&mut core, &event(6));
    assert_eq!(core.take_violations(), [Violation::LateEvent { seen: 6, got: 6 }]);
}

#[test]
fn auth_and_pings_overtake() {
    let mut core = open();
    request(&mut core, 1);
    let mut out = Vec::new();
    assert_eq!(core.request(&Request::Auth { scheme: "digest", auth: b"a:b" }, 2, &mut out), -4);
    assert_eq!(core.request(&Request::Ping, 3, &mut out), -2);
    assert_eq!(receive_all(&mut core, &[reply(-4, 0), reply(-2, 0), reply(1, 1)].concat()), 3);
    assert!(core.take_violations().is_empty());
}

#[test]
fn a_lost_connection_hands_back_what_waited() {
    let mut core = open();
    request_all(&mut core, 5..7);
    let mut sent = Vec::new();
    let lost: Vec<u32> = core.connect(Millis(1), &mut sent).iter().map(|lost| lost.tag).collect();
    assert_eq!(lost, [5, 6]);
    let request = ConnectRequest::read(&sent[4..]).unwrap();
    assert_eq!((request.session, request.password), (77, Some(vec![9; 16])));
    let mut bytes = Vec::new();
    ConnectResponse::expired(Some(false)).write_frame(&mut bytes);
    assert_eq!(core.receive(&mut &bytes[..]), Ok(Some(Message::Expired)));
    assert_eq!(core.phase(), Phase::Expired);
}

#[test]
fn silence_makes_a_ping_due_and_then_the_server_dead() {
    let mut core = open();
    assert_eq!(core.pulse(Millis(1_999)), Pulse::Quiet);
    assert_eq!(core.pulse(Millis(2_000)), Pulse::Ping);
    core.sent(Millis(2_000));
    assert_eq!(core.pulse(Millis(3_999)), Pulse::Quiet);
    assert_eq!(core.pulse(Millis(4_000)), Pulse::Dead);
    core.heard(Millis(4_000));
    assert_eq!(core.pulse(Millis(4_000)), Pulse::Ping);
}

#[test]
fn frames_that_cannot_be_end_the_connection() {
    let mut core = open();
    assert_eq!(core.receive(&mut &[0xff; 4][..]), Err(Broken::FrameLength(-1)));
    assert_eq!(core.receive(&mut &[0x7f; 4][..]), Err(Broken::FrameLength(0x7f7f_7f7f)));
    let short = [0, 0, 0, 1, 0];
    assert_eq!(core.receive(&mut &short[..]), Err(Broken::Message(Malformed::Truncated)));
}
