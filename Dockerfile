# An image of Ottla that starts as Kafka's image does: KAFKA_* variables set Kafka's settings.
#
#   docker build --tag ottla .                        from source
#   docker build --tag ottla --target prebuilt .      around a binary in dist/ottla, on any base
#                                                     with a shell; needs no image but the base
#
# Both images can be replaced where none can be pulled: --build-arg BASE_IMAGE=…
ARG BASE_IMAGE=debian:bookworm-slim
ARG BUILDER_IMAGE=rust:1-bookworm

FROM ${BASE_IMAGE} AS layout
# Group 0 may do what the user may: some platforms run images under a random uid of that group.
# The user is written by hand because bases differ in their tools for it.
RUN echo 'ottla:x:1000:0:Ottla:/var/lib/kafka:/bin/sh' >> /etc/passwd \
 && mkdir -p /etc/ottla /opt/ottla /var/lib/kafka/data \
 && ln -s /opt/ottla/ottla /usr/bin/ottla \
 && chown -R 1000:0 /var/lib/kafka \
 && chmod -R g=u /var/lib/kafka
COPY scripts/container/config.toml /etc/ottla/config.toml
WORKDIR /var/lib/kafka
VOLUME /var/lib/kafka/data
EXPOSE 9092
USER 1000:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=2s --timeout=2s --start-period=10s CMD ["/usr/bin/ottla", "healthcheck"]
CMD ["/usr/bin/ottla", "server"]

# Builders without BuildKit come through here on their way to `release`, with or without a binary:
# the pattern lets it be absent.
FROM layout AS prebuilt
COPY LICENSE dist/ottl[a] /opt/ottla/

FROM ${BUILDER_IMAGE} AS builder
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package ottla

FROM layout AS release
COPY LICENSE /opt/ottla/
COPY --from=builder /source/target/release/ottla /opt/ottla/
