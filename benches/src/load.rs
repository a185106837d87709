//! The load client: one kind of request, sent again and again, closed or open loop.
//!
//! It runs on one thread and sends bytes that were made before, so that on two cores one is the server's own. Does not
//! own what the bytes say: a case makes them.

pub(crate) mod grpc;
pub(crate) mod http;

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use prost::Message;
use salver_system::scheduling::{self, Pace};

use self::grpc::GrpcConnection;
use self::http::HttpConnection;

/// Connections that an open loop may have: one that needs more measures the client.
const MAX_CONNECTIONS: usize = 2_048;

/// How long is waited for answers after an open loop has sent its last request.
const GRACE: Duration = Duration::from_secs(10);

/// What came of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// The server did what it was asked for.
    Good,
    /// The server said that it has too much to do: 429, 503, RESOURCE_EXHAUSTED or UNAVAILABLE.
    Refused,
    /// Anything else.
    Bad,
}

/// One request, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// The bytes of an HTTP/1.1 request.
    Http(Bytes),
    /// A message and the prefix that gRPC puts before it, for a method: `/package.Service/Method`.
    Grpc { path: &'static str, framed: Bytes },
}

impl Request {
    /// Returns a POST of a JSON body.
    pub(crate) fn post(path: &str, body: &[u8]) -> Self {
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        Self::Http(bytes.into())
    }

    /// Returns a call of a method.
    pub(crate) fn call(path: &'static str, message: &impl Message) -> Self {
        let mut framed = vec![0];
        // A message that a benchmark makes is shorter than 4 GiB.
        framed.extend_from_slice(&(message.encoded_len() as u32).to_be_bytes());
        framed.extend_from_slice(&message.encode_to_vec());
        Self::Grpc {
            path,
            framed: framed.into(),
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The port of 127.0.0.1.
    pub(crate) port: u16,
    /// What is sent.
    pub(crate) request: Request,
}

enum Connection {
    Http(HttpConnection),
    Grpc(GrpcConnection),
}

impl Connection {
    async fn open(target: &Target) -> Result<Self> {
        Ok(match &target.request {
            Request::Http(_) => Self::Http(HttpConnection::open(target.port).await?),
            Request::Grpc { .. } => Self::Grpc(GrpcConnection::open(target.port).await?),
        })
    }

    async fn send(&mut self, request: &Request) -> Result<Answer> {
        match (self, request) {
            (Self::Http(connection), Request::Http(bytes)) => connection.send(bytes).await,
            (Self::Grpc(connection), Request::Grpc { path, framed }) => {
                connection.send(path, framed.clone()).await
            }
            _ => bail!("a connection is of the kind of its request"),
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// How long each good answer took; of an open loop, from when the request was due.
    pub(crate) latencies: Vec<Duration>,
    /// How long each refusal took.
    pub(crate) refusals: Vec<Duration>,
    /// Requests that got another answer or none.
    pub(crate) bad: usize,
    /// From the first request to the last answer, or the length of the open loop.
    pub(crate) elapsed: Duration,
}

impl Sample {
    /// Returns what came of some requests of an open loop.
    pub(crate) fn of<'s>(sent: impl IntoIterator<Item = &'s Sent>) -> Self {
        let mut sample = Self::default();
        for sent in sent {
            sample.add(sent.answer, sent.latency);
        }
        sample
    }

    fn add(&mut self, answer: Answer, latency: Duration) {
        match answer {
            Answer::Good => self.latencies.push(latency),
            Answer::Refused => self.refusals.push(latency),
            Answer::Bad => self.bad += 1,
        }
    }

    /// Adds what was measured in another part of the same turn.
    pub(crate) fn append(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refusals.extend(other.refusals);
        self.bad += other.bad;
        self.elapsed += other.elapsed;
    }

    /// Returns good answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns the good answers a second that took no longer than this.
    pub(crate) fn rate_within(&self, most: Duration) -> f64 {
        let num_useful = self
            .latencies
            .iter()
            .filter(|latency| **latency <= most)
            .count();
        num_useful as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns a quantile of the good answers' latencies in milliseconds, NaN of none.
    pub(crate) fn millis(&self, quantile: f64) -> f64 {
        quantile_millis(&self.latencies, quantile)
    }

    /// Fails where a server that is measured does not answer.
    pub(crate) fn check(self, what: &str) -> Result<Self> {
        if self.latencies.is_empty() || self.bad > 0 {
            bail!(
                "{what}: {} good answers, {} refusals, {} bad answers",
                self.latencies.len(),
                self.refusals.len(),
                self.bad
            );
        }
        Ok(self)
    }
}

/// Returns a quantile in milliseconds, NaN of none.
pub(crate) fn quantile_millis(latencies: &[Duration], quantile: f64) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = (quantile * sorted.len() as f64) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

/// When a closed loop ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many requests.
    Count(usize),
}

/// Sends a request on each of some connections as soon as the one before was answered.
pub(crate) fn closed(target: &Target, num_connections: usize, until: Until) -> Result<Sample> {
    on_one_thread(|| async {
        let sample = Rc::new(RefCell::new(Sample::default()));
        let left = Rc::new(RefCell::new(match until {
            Until::Elapsed(_) => usize::MAX,
            Until::Count(count) => count,
        }));
        let mut connections = Vec::new();
        for _ in 0..num_connections {
            connections.push(Connection::open(target).await?);
        }
        let begin = Instant::now();
        let mut tasks = Vec::new();
        for mut connection in connections {
            let (sample, left, target) = (Rc::clone(&sample), Rc::clone(&left), target.clone());
            tasks.push(tokio::task::spawn_local(async move {
                loop {
                    if *left.borrow() == 0 {
                        return anyhow::Ok(());
                    }
                    *left.borrow_mut() -= 1;
                    let sent = Instant::now();
                    let answer = connection.send(&target.request).await?;
                    sample.borrow_mut().add(answer, sent.elapsed());
                    // Looked at afterwards: however short the time, everybody asks once.
                    if matches!(until, Until::Elapsed(length) if begin.elapsed() >= length) {
                        return Ok(());
                    }
                }
            }));
        }
        for task in tasks {
            task.await??;
        }
        let mut sample = sample.take();
        sample.elapsed = begin.elapsed();
        Ok(sample)
    })
}

/// One request of an open loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When it was due.
    pub(crate) due: Instant,
    /// What came of it; bad as long as it has no answer.
    pub(crate) answer: Answer,
    /// How long that took from when it was due.
    pub(crate) latency: Duration,
}

/// Sends requests at random times, so many a second on average, whether or not those before were answered.
pub(crate) fn open(target: &Target, rate: f64, length: Duration) -> Result<Sample> {
    let begin = Instant::now();
    let sent = open_while(target, rate, |due| due < begin + length)?;
    let mut sample = Sample::of(&sent);
    sample.elapsed = length;
    Ok(sample)
}

/// Does so for as long as somebody says of when the next one is due.
pub(crate) fn open_while(
    target: &Target,
    rate: f64,
    goes_on: impl Fn(Instant) -> bool + Sync,
) -> Result<Vec<Sent>> {
    on_one_thread(|| async {
        let every = Rc::new(RefCell::new(Vec::new()));
        let idle = Rc::new(RefCell::new(Vec::<Connection>::new()));
        let num_open = Rc::new(RefCell::new(0_usize));
        let mut due = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        while goes_on(due) {
            tokio::time::sleep_until(due.into()).await;
            let idx = every.borrow().len();
            every.borrow_mut().push(Sent {
                due,
                answer: Answer::Bad,
                latency: GRACE,
            });
            let (every, idle, num_open) =
                (Rc::clone(&every), Rc::clone(&idle), Rc::clone(&num_open));
            let target = target.clone();
            tasks.spawn_local(async move {
                let answer = one(&target, &idle, &num_open).await;
                let sent = &mut every.borrow_mut()[idx];
                (sent.answer, sent.latency) = (answer, sent.due.elapsed());
            });
            due += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / rate);
            while tasks.try_join_next().is_some() {}
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        // Those that have no answer by then have none.
        drop(tokio::time::timeout(GRACE, all).await);
        Ok(every.take())
    })
}

/// Sends one request on an idle connection, or on a new one.
async fn one(
    target: &Target,
    idle: &RefCell<Vec<Connection>>,
    num_open: &RefCell<usize>,
) -> Answer {
    let taken = idle.borrow_mut().pop();
    let mut connection = match taken {
        Some(connection) => connection,
        None if *num_open.borrow() >= MAX_CONNECTIONS => return Answer::Bad,
        None => {
            *num_open.borrow_mut() += 1;
            match Connection::open(target).await {
                Ok(connection) => connection,
                Err(_) => {
                    *num_open.borrow_mut() -= 1;
                    return Answer::Bad;
                }
            }
        }
    };
    match connection.send(&target.request).await {
        Ok(answer) => {
            idle.borrow_mut().push(connection);
            answer
        }
        Err(_) => {
            *num_open.borrow_mut() -= 1;
            Answer::Bad
        }
    }
}

/// Does a client's work on a thread of its own, which ends with it.
pub(crate) fn on_one_thread<T, F>(work: impl FnOnce() -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    let work = || {
        // What the client itself waits for a core is none of the server's. Servers must not inherit that.
        scheduling::set_pace(Pace::Prompt);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        tokio::task::LocalSet::new().block_on(&runtime, work())
    };
    thread::scope(|scope| scope.spawn(work).join()).expect("a client does not panic")
}
