# Makes the collection `demo` in a SolrCloud, unless it is there, and fills it, through the proxy at $PROXY.
set -eu
admin="$PROXY/solr/admin/collections"
curl -fsS "$admin?action=LIST" | grep -q '"demo"' ||
  curl -fsS -o /dev/null "$admin?action=CREATE&name=demo&numShards=1&waitForFinalState=true"
# One document of JSON a line; each has its id, so that loading twice changes nothing.
curl -fsS -o /dev/null -H 'Content-Type: application/json' --data-binary @/corpus/passages.jsonl \
  "$PROXY/solr/demo/update/json/docs?commit=true"
curl -fsS "$PROXY/solr/demo/select?q=*:*&rows=0"
