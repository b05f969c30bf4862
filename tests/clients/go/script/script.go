// Package script has the steps that the Go drivers of the client matrix run (../../README.md). A driver hands over an adapter: what its
// client spells its own way.
package script

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// Seen is what a user of the client sees, as JSON says it.
type Seen = map[string]any

// Document is a line of the documents' file.
type Document struct {
	ID     string          `json:"id"`
	Source json.RawMessage `json:"source"`
}

// Options are how the client is to be made.
type Options struct{ Compress, Sniff bool }

// Adapter is a client.
type Adapter interface {
	Info() (any, error)
	Nodes() []string
	CreateIndex(index string) (any, error)
	Bulk(index string, documents []Document) (any, error)
	Get(index, id string) (any, error)
	Search(index string, size, from int) (any, error)
	MSearch(indices []string, size int) ([]any, error)
	Count(index string) (any, error)
	Walk(index string) (any, error)
	Refused(index string) (any, error)
	Create(index, id string, source json.RawMessage) (any, error)
	Update(index, id, title string) (any, error)
	Delete(index, id string) (any, error)
}

const (
	ruled, plain = "scratch-clients", "bystander-clients"
	page, pages  = 10, 3
	searches     = 32
	Query        = "how do I keep the water in a small house warm and clean"
	MatchQuery   = `{"match":{"text":"` + Query + `"}}`
	IndexBody    = `{"settings":{"number_of_shards":1,"number_of_replicas":0},"mappings":{"properties":{"number":{"type":"integer"},"title":{"type":"text"},"text":{"type":"text"}}}}`
	RefusedBody  = `{"query":{"guess":{"text":"water"}}}`
)

// SearchBody is the search that all drivers send.
func SearchBody(size, from int) string {
	return fmt.Sprintf(`{"query":%s,"size":%d,"from":%d}`, MatchQuery, size, from)
}

// MSearchBody has a search for each index.
func MSearchBody(indices []string, size int) string {
	var body strings.Builder
	for _, index := range indices {
		fmt.Fprintf(&body, "{\"index\":%q}\n%s\n", index, SearchBody(size, 0))
	}
	return body.String()
}

// BulkBody indexes the documents.
func BulkBody(index string, documents []Document) string {
	var body strings.Builder
	for _, document := range documents {
		fmt.Fprintf(&body, "{\"index\":{\"_index\":%q,\"_id\":%q}}\n%s\n", index, document.ID, document.Source)
	}
	return body.String()
}

// Walking is what a driver reads of a page of a scroll.
type Walking struct {
	ScrollID string `json:"_scroll_id"`
	Hits     struct {
		Hits []struct {
			ID string `json:"_id"`
		} `json:"hits"`
	} `json:"hits"`
}

// Plain is a value as JSON has it.
func Plain(value any) any {
	text, err := json.Marshal(value)
	check(err)
	var read any
	check(json.Unmarshal(text, &read))
	return read
}

// Run runs the mode that the command line asks for, MODE URL DOCUMENTS, and prints what was seen.
func Run(version string, make func(url string, options Options) (Adapter, error)) {
	mode, url := os.Args[1], os.Args[2]
	text, err := os.ReadFile(os.Args[3])
	check(err)
	var documents []Document
	check(json.Unmarshal(text, &documents))
	client, err := make(url, Options{Compress: mode == "compressed", Sniff: mode == "sniff"})
	check(err)
	seen := Seen{}
	switch mode {
	case "steps", "compressed":
		steps(client, documents, seen)
	case "sniff":
		seen["nodes"] = client.Nodes()
		seen["search"] = shown(client.Search(ruled, page, 0))
	case "product":
		seen["info"] = shown(client.Info())
	case "retries":
		for _, index := range []string{"flaky-503", "flaky-429", "always-503"} {
			seen[index] = shown(client.Search(index, page, 0))
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{"version": version, "seen": seen}))
}

func steps(client Adapter, documents []Document, seen Seen) {
	seen["info"] = shown(client.Info())
	for _, index := range []string{ruled, plain} {
		seen["create "+index] = shown(client.CreateIndex(index))
		seen["bulk "+index] = shown(client.Bulk(index, documents))
	}
	for kind, index := range map[string]string{"ruled": ruled, "plain": plain} {
		var found []any
		for at := range pages {
			found = append(found, shown(client.Search(index, page, at*page)))
		}
		seen[kind+" pages"] = found
	}
	seen["get"] = shown(client.Get(plain, "d1"))
	seen["count"] = shown(client.Count(ruled))
	both, err := client.MSearch([]string{ruled, plain}, page*pages)
	check(err)
	seen["ruled msearch"], seen["plain msearch"] = both[:1], both[1:]
	seen["walk"] = shown(client.Walk(ruled))
	seen["at once"] = atOnce(client)
	seen["missing"] = shown(client.Get(plain, "none"))
	seen["no index"] = shown(client.Search("scratch-none", page, 0))
	seen["refused"] = shown(client.Refused(ruled))
	seen["conflict"] = shown(client.Create(plain, "d1", documents[0].Source))
	seen["update"] = shown(client.Update(plain, "d1", "Grüße aus Köln 東京"))
	seen["updated"] = shown(client.Get(plain, "d1"))
	seen["delete"] = shown(client.Delete(plain, "d1"))
	seen["deleted"] = shown(client.Get(plain, "d1"))
}

// atOnce searches over all connections of the pool.
func atOnce(client Adapter) any {
	found := make([]string, searches)
	var waiting sync.WaitGroup
	for place := range found {
		waiting.Go(func() {
			answer, err := client.Search([]string{ruled, plain}[place%2], page, 0)
			check(err)
			text, err := json.Marshal(answer.(map[string]any)["hits"])
			check(err)
			found[place] = string(text)
		})
	}
	waiting.Wait()
	different := func(side int) []string {
		var of []string
		for place := side; place < searches; place += 2 {
			of = append(of, found[place])
		}
		slices.Sort(of)
		return slices.Compact(of)
	}
	return Seen{"ruled": len(different(0)), "plain": different(1)}
}

func shown(result any, err error) any {
	if err != nil {
		return Seen{"error": fmt.Sprintf("%T", err), "said": err.Error()}
	}
	return result
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
