//! A guest's state (the application, its resource table, WASI) and the linker that offers it the interfaces.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use wasmtime::{
    Cache, CacheConfig, Config, Engine, ProfilingStrategy, Store,
    component::{Component, HasData, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    WasiHttpCtx, WasiHttpCtxView, WasiHttpView,
    p3::bindings::{Service, ServicePre},
};

use crate::{
    allowed::AllowedHosts,
    bindings,
    key_value::KeyValues,
    manifest::Manifest,
    outbound::{Outbound, OutboundClient},
    variable::ComponentVariables,
};

/// What all instances share.
pub(crate) struct App {
    /// The component's variables.
    pub(crate) variables: ComponentVariables,
    /// The hosts it may connect to.
    pub(crate) allowed: AllowedHosts,
    /// Labels of the key-value stores it may open.
    pub(crate) stores: BTreeSet<String>,
    /// All key-value stores.
    pub(crate) key_values: KeyValues,
    /// The client for outbound HTTP.
    pub(crate) client: OutboundClient,
    /// The guest's environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// The state of one instance.
pub(crate) struct GuestState {
    app: Arc<App>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl GuestState {
    fn new(app: Arc<App>) -> Self {
        let mut wasi = WasiCtx::builder();
        // No folders and no sockets: a guest reaches the outside through the interfaces below only.
        wasi.inherit_stdout().inherit_stderr().envs(&app.environment);
        Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound(Arc::clone(&app)),
            app,
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Spin's interfaces, implemented in the modules named after them.
pub(crate) struct Spin;

impl HasData for Spin {
    type Data<'a> = SpinView<'a>;
}

/// The part of an instance's state that Spin's interfaces use.
pub(crate) struct SpinView<'a> {
    /// The application.
    pub(crate) app: &'a App,
    /// The instance's resources.
    pub(crate) table: &'a mut ResourceTable,
}

/// A compiled component, linked and ready to be instantiated.
pub(crate) struct Guest {
    app: Arc<App>,
    engine: Engine,
    service: ServicePre<GuestState>,
}

impl Guest {
    /// Compiles the manifest's component, or loads it from `cache_dir`. Fails if it imports an interface that this host
    /// does not offer. With `has_perf_map`, perf finds the names of its functions.
    pub(crate) fn new(
        manifest: &Manifest,
        app: App,
        cache_dir: Option<&Path>,
        has_perf_map: bool,
    ) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        if has_perf_map {
            config.profiler(ProfilingStrategy::PerfMap);
        }
        config.wasm_component_model_async(true);
        if let Some(directory) = cache_dir {
            let mut cache = CacheConfig::new();
            cache.with_directory(directory);
            config.cache(Some(Cache::new(cache)?));
        }
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, &manifest.source)?;

        let mut linker = Linker::new(&engine);
        // The Rust standard library of wasm32-wasip2 uses WASI 0.2, the SDK uses 0.3.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        bindings::Spin::add_to_linker::<_, Spin>(&mut linker, |state: &mut GuestState| SpinView {
            app: &state.app,
            table: &mut state.table,
        })?;
        let service = ServicePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { app: Arc::new(app), engine, service })
    }

    /// Creates an instance with a store of its own.
    pub(crate) async fn instantiate(&self) -> wasmtime::Result<(Store<GuestState>, Service)> {
        let mut store = Store::new(&self.engine, GuestState::new(Arc::clone(&self.app)));
        let service = self.service.instantiate_async(&mut store).await?;
        Ok((store, service))
    }
}
