//! What a person sees once the server is up: models, addresses, and a line to try each model with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use salver_repository::LoadedModel;
use salver_servable::{Manager, ServableRequest, State, VersionChoice, VersionStatus};
use salver_server::Addresses;

use crate::example::{self, Api};
use crate::{output, table};

/// Tells of every model and address.
pub(crate) fn announce(manager: &Manager<LoadedModel>, addresses: &Addresses) {
    output::note(&format!("\n{}\n", models_table(manager)));
    output::note(&addresses_text(addresses));
    if let Some(text) = examples_text(manager, addresses) {
        output::note(&format!("\nTry:\n{text}"));
    }
    output::note("\nCtrl-C stops the server.\n");
}

/// Logs the lines that scripts wait for which start TensorFlow's server.
pub(crate) fn log_as_tensorflow(addresses: &Addresses) {
    if let Some(grpc) = addresses.grpc {
        tracing::info!("Running gRPC ModelServer at {grpc} ...");
    }
    if let Some(socket) = &addresses.grpc_socket {
        tracing::info!(
            "Running gRPC ModelServer at UNIX socket {} ...",
            socket.display()
        );
    }
    if let Some(rest) = addresses.rest {
        tracing::info!("Exporting HTTP/REST API at:localhost:{} ...", rest.port());
    }
}

fn models_table(manager: &Manager<LoadedModel>) -> String {
    let statuses = manager.statuses();
    let rows: Vec<[String; 5]> = statuses
        .iter()
        .flat_map(|(name, versions)| {
            versions
                .iter()
                .map(|status| model_row(manager, name, status))
        })
        .collect();
    table::render(["MODEL", "VERSION", "STATE", "ENGINE", "WHY"], &rows)
}

fn model_row(manager: &Manager<LoadedModel>, name: &str, status: &VersionStatus) -> [String; 5] {
    let request = ServableRequest {
        name,
        version: VersionChoice::Version(status.version),
    };
    let (engine, reason) = match (manager.handle(&request), &status.error) {
        (Ok(model), _) => (model.platform.to_owned(), model.reason.clone()),
        (Err(_), Some(error)) => ("-".to_owned(), error.message.clone()),
        (Err(_), None) => ("-".to_owned(), String::new()),
    };
    [
        name.to_owned(),
        status.version.to_string(),
        state_name(status.state).to_owned(),
        engine,
        reason,
    ]
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Start => "START",
        State::Loading => "LOADING",
        State::Available => "AVAILABLE",
        State::Unloading => "UNLOADING",
        State::End => "END",
    }
}

fn addresses_text(addresses: &Addresses) -> String {
    let socket = addresses.grpc_socket.as_ref();
    let rows = [
        (
            "REST",
            addresses
                .rest
                .map(|address| url(address, addresses.is_rest_secure)),
        ),
        (
            "gRPC",
            addresses
                .grpc
                .map(|address| grpc_target(address, addresses.is_grpc_secure)),
        ),
        (
            "gRPC",
            socket.map(|path| format!("unix:{}", path.display())),
        ),
        (
            "admin",
            addresses.admin.map(|address| {
                let url = url(address, addresses.is_admin_secure);
                format!("{url}  /healthz /readyz /metrics")
            }),
        ),
    ];
    let lines = rows
        .into_iter()
        .filter_map(|(api, address)| address.map(|address| format!("{api:<8}{address}")));
    lines.collect::<Vec<_>>().join("\n")
}

fn url(address: SocketAddr, is_secure: bool) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{}", reachable(address))
}

/// Returns what gRPC clients of ours take: no scheme, unless it is `https`.
fn grpc_target(address: SocketAddr, is_secure: bool) -> String {
    match is_secure {
        true => url(address, true),
        false => reachable(address),
    }
}

fn examples_text(manager: &Manager<LoadedModel>, addresses: &Addresses) -> Option<String> {
    let rest = addresses
        .rest
        .map(|address| Api::Rest(url(address, addresses.is_rest_secure)));
    let grpc = |address| Api::Grpc(grpc_target(address, addresses.is_grpc_secure));
    let api = rest.or_else(|| addresses.grpc.map(grpc))?;
    let statuses = manager.statuses();
    let lines: Vec<String> = statuses
        .keys()
        .filter_map(|name| {
            let model = manager
                .handle(&ServableRequest {
                    name,
                    version: VersionChoice::Latest,
                })
                .ok()?;
            let signature = model
                .signatures()
                .get("")
                .or_else(|| model.signatures().iter().next())?;
            Some(format!(
                "  {}",
                example::command(&api, name, &signature.inputs)
            ))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Returns an address that can be asked from this machine: a port open on every address is on `localhost` too.
fn reachable(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED | Ipv4Addr::LOCALHOST) => {
            format!("localhost:{}", address.port())
        }
        IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) => {
            format!("localhost:{}", address.port())
        }
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_be_asked_from_this_machine() {
        let rows = [
            ("0.0.0.0:8501", "localhost:8501"),
            ("127.0.0.1:8501", "localhost:8501"),
            ("[::]:8501", "localhost:8501"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ];
        for (address, expected) in rows {
            assert_eq!(reachable(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn each_open_port_has_its_line() {
        let address = |text: &str| text.parse().ok();
        let all = Addresses {
            grpc: address("0.0.0.0:8500"),
            grpc_socket: Some("/run/salver.sock".into()),
            rest: address("0.0.0.0:8501"),
            admin: address("0.0.0.0:8501"),
            ..Addresses::default()
        };
        let expected = "REST    http://localhost:8501\ngRPC    localhost:8500\n\
                        gRPC    unix:/run/salver.sock\n\
                        admin   http://localhost:8501  /healthz /readyz /metrics";
        assert_eq!(addresses_text(&all), expected);
        let one = Addresses {
            grpc: address("0.0.0.0:8500"),
            ..Addresses::default()
        };
        assert_eq!(addresses_text(&one), "gRPC    localhost:8500");
        let secure = Addresses {
            is_grpc_secure: true,
            is_admin_secure: true,
            admin: address("127.0.0.1:8500"),
            ..one
        };
        let expected = "gRPC    https://localhost:8500\n\
                        admin   https://localhost:8500  /healthz /readyz /metrics";
        assert_eq!(addresses_text(&secure), expected);
    }
}
