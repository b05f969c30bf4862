# NOT RUN YET: no Docker engine was at hand when this was written. Its steps are few on purpose: what does the work, `cargo
# build --release` and `make onnxruntime`, is what CI runs too.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN make onnxruntime
RUN cargo build --release --locked --bin rerank-proxy

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /build/target/release/rerank-proxy /usr/local/bin/
COPY --from=build /build/target/onnxruntime/ /usr/local/lib/
COPY --from=build /build/fixtures/models/all-MiniLM-L6-v2/ /models/all-MiniLM-L6-v2/
COPY --from=build /build/fixtures/models/ms-marco-MiniLM-L12-v2/ /models/ms-marco-MiniLM-L12-v2/
USER 10001:10001
# On this address the rerank API answers 403 until it has keys (RERANK_PROXY_API__KEYS_ENV), or RERANK_PROXY_API__KEYS=none.
ENV RERANK_PROXY_SERVER__LISTEN=0.0.0.0:9700
EXPOSE 9700
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["rerank-proxy", "health"]
ENTRYPOINT ["rerank-proxy"]
ENV RERANK_PROXY_SCORING__MODELS_DIR=/models
# More models: mount a folder and name it. For example: docker run -v ./mine:/models/mine … serve --model mine
CMD ["serve", "--upstream", "http://elasticsearch:9200"]
