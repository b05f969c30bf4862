# Fills the index `demo` of an Elasticsearch or OpenSearch through the proxy at $PROXY.
set -eu
# Whoever is asked may not listen yet: HAProxy's image has no health check. Each passage under its own id, so that loading twice changes nothing.
sed -E 's/^\{"id": ?"([^"]*)".*$/{"index":{"_id":"\1"}}\n&/' /corpus/passages.jsonl |
  curl -fsS --retry 10 --retry-connrefused -o /dev/null -H 'Content-Type: application/x-ndjson' --data-binary @- \
    "$PROXY/demo/_bulk?refresh=true"
curl -fsS "$PROXY/demo/_count"
