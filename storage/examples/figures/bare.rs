//! What a storage's reading is measured against: the least that one can do with actix-web, a handler over a `HashMap`.

use crate::load::{VALUE_BYTES, key};
use actix_web::{
    App, HttpResponse, HttpServer,
    web::{self, Bytes},
};
use std::{collections::HashMap, io, net::TcpListener};

/// The argument that makes this program serve so.
pub(crate) const ARGUMENT: &str = "bare";

type Values = HashMap<String, Bytes>;

/// Serves values under so many keys until killed.
pub(crate) async fn serve(keys: u64) -> io::Result<()> {
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let values: Values = (0..keys).map(|number| (key(number), value.clone())).collect();
    let values = web::Data::new(values);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    eprintln!("listening on http://{}/", listener.local_addr()?);
    HttpServer::new(move || {
        App::new().app_data(values.clone()).route("/v1/kv/{key}", web::get().to(get))
    })
    .workers(1)
    .listen(listener)?
    .run()
    .await
}

async fn get(values: web::Data<Values>, key: web::Path<String>) -> HttpResponse {
    match values.get(&*key) {
        Some(value) => HttpResponse::Ok().body(value.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}
