# The image: the program, ONNX Runtime's library, the C libraries that both are linked to, certificates, and the two bundled models.
# No shell, no package manager, nobody but user 10001. docs/containers.md says how it was built and run, and how large it is.
#
#     docker build -t rerank-proxy .                              # with the bundled models
#     docker build -t rerank-proxy --target without-models .      # models come in a volume at /models

# Bases of your own: a mirror's, or one that has more. The first needs Rust and apt-get, and the libraries of the second stage are its own.
ARG RUST_BASE=docker.io/library/rust:1.95-slim-bookworm

FROM ${RUST_BASE} AS program
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev libstdc++6 make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# First what changes least.
COPY Makefile ./
COPY scripts/fetch_onnxruntime.py scripts/
RUN make onnxruntime
COPY . .
RUN cargo build --release --locked --bin rerank-proxy && strip target/release/rerank-proxy

# What the image consists of, each file in its place: the libraries as the linker names them, and for those who look for known holes which
# Debian packages they are of.
FROM program AS files
RUN set -eu \
 && mkdir -p /image/usr/local/bin /image/usr/local/lib /image/etc/ssl/certs /image/var/lib/dpkg/status.d \
 && mkdir -p /image/usr/share/doc/rerank-proxy /image/usr/share/doc/onnxruntime \
 && cp target/release/rerank-proxy /image/usr/local/bin/ \
 && cp target/onnxruntime/libonnxruntime.so.* /image/usr/local/lib/ \
 && ldd target/release/rerank-proxy target/onnxruntime/libonnxruntime.so.* \
    | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib.*\/ld-/ { print $1 }' | sort -u \
    | xargs cp --dereference --parents --target-directory=/image \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp LICENSE /image/usr/share/doc/rerank-proxy/ \
 && cp target/onnxruntime/LICENSE target/onnxruntime/ThirdPartyNotices.txt /image/usr/share/doc/onnxruntime/ \
 && cp /etc/debian_version /etc/os-release /image/etc/ \
 && for package in libc6 libgcc-s1 libstdc++6 ca-certificates; do \
      dpkg -s "$package" > "/image/var/lib/dpkg/status.d/$package"; \
      mkdir -p "/image/usr/share/doc/$package" && cp "/usr/share/doc/$package/copyright" "/image/usr/share/doc/$package/"; \
    done \
 && echo 'rerank-proxy:x:10001:10001::/:/sbin/nologin' > /image/etc/passwd \
 && echo 'rerank-proxy:x:10001:' > /image/etc/group \
 && mkdir -p /image/models /image/etc/rerank-proxy \
 && mkdir /models \
 && cp -r fixtures/models/all-MiniLM-L6-v2 fixtures/models/ms-marco-MiniLM-L12-v2 /models/ \
 && rm -r /models/*/onnx

FROM scratch AS without-models
COPY --from=files /image/ /
USER 10001:10001
# On this address the rerank API answers 403 until it has keys (RERANK_PROXY_API__KEYS_ENV), or RERANK_PROXY_API__KEYS=none.
ENV RERANK_PROXY_SERVER__LISTEN=0.0.0.0:9700 \
    RERANK_PROXY_SCORING__MODELS_DIR=/models
EXPOSE 9700
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["rerank-proxy", "health"]
ENTRYPOINT ["rerank-proxy"]
# More models: mount a folder and name it. For example: docker run -v ./mine:/models/mine … serve --model mine
CMD ["serve", "--upstream", "http://elasticsearch:9200"]

# The stock ONNX files of both, which a CPU does not want, are left out: the compiled graphs of the same weights are run.
FROM without-models
COPY --from=files /models/ /models/
