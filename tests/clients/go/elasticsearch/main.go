// Driver of go-elasticsearch: its typed client for searches, its other one for the rest, whose answers it hands over as they are. What is
// built of it for version 8 differs in the number alone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"clients/script"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/esapi"
	"github.com/elastic/go-elasticsearch/v9/esutil"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types"
)

type adapter struct {
	client *elasticsearch.Client
	typed  *elasticsearch.TypedClient
}

func main() {
	script.Run(elasticsearch.Version, func(url string, options script.Options) (script.Adapter, error) {
		config := elasticsearch.Config{Addresses: []string{url}, CompressRequestBody: options.Compress}
		client, err := elasticsearch.NewClient(config)
		if err != nil {
			return nil, err
		}
		typed, err := elasticsearch.NewTypedClient(config)
		if err == nil && options.Sniff {
			err = typed.DiscoverNodes()
		}
		return adapter{client, typed}, err
	})
}

// read is an answer as it came, and an error where its status says so.
func read(answer *esapi.Response, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.IsError() {
		return nil, errors.New(answer.String())
	}
	var found any
	err = json.NewDecoder(answer.Body).Decode(&found)
	return found, err
}

func (a adapter) Info() (any, error) { return read(a.client.Info()) }

func (a adapter) Nodes() []string {
	var nodes []string
	for _, url := range a.typed.Transport.(*elastictransport.Client).URLs() {
		nodes = append(nodes, url.String())
	}
	return nodes
}

func (a adapter) CreateIndex(index string) (any, error) {
	return read(a.client.Indices.Create(index, a.client.Indices.Create.WithBody(strings.NewReader(script.IndexBody))))
}

// Bulk goes by the client's own indexer.
func (a adapter) Bulk(index string, documents []script.Document) (any, error) {
	config := esutil.BulkIndexerConfig{Client: a.client, Index: index, NumWorkers: 1, Refresh: "true"}
	indexer, err := esutil.NewBulkIndexer(config)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		item := esutil.BulkIndexerItem{Action: "index", DocumentID: document.ID, Body: bytes.NewReader(document.Source)}
		if err := indexer.Add(context.Background(), item); err != nil {
			return nil, err
		}
	}
	err = indexer.Close(context.Background())
	return script.Plain(indexer.Stats()), err
}

func (a adapter) Get(index, id string) (any, error) { return read(a.client.Get(index, id)) }

func (a adapter) Search(index string, size, from int) (any, error) {
	query := &types.Query{Match: map[string]types.MatchQuery{"text": {Query: script.Query}}}
	found, err := a.typed.Search().Index(index).Query(query).Size(size).From(from).Do(context.Background())
	if err != nil {
		return nil, err
	}
	return script.Plain(found), nil
}

func (a adapter) MSearch(indices []string, size int) ([]any, error) {
	found, err := read(a.client.Msearch(strings.NewReader(script.MSearchBody(indices, size))))
	if err != nil {
		return nil, err
	}
	return found.(map[string]any)["responses"].([]any), nil
}

func (a adapter) Count(index string) (any, error) {
	body := strings.NewReader(`{"query":` + script.MatchQuery + `}`)
	return read(a.client.Count(a.client.Count.WithIndex(index), a.client.Count.WithBody(body)))
}

// Walk goes by a scroll.
func (a adapter) Walk(index string) (any, error) {
	search := a.client.Search
	body := search.WithBody(strings.NewReader(script.SearchBody(7, 0)))
	answer, err := search(search.WithIndex(index), body, search.WithScroll(time.Minute))
	var seen []string
	for {
		if err != nil {
			return nil, err
		}
		var page script.Walking
		err = json.NewDecoder(answer.Body).Decode(&page)
		answer.Body.Close()
		if err != nil || len(page.Hits.Hits) == 0 {
			return seen, err
		}
		for _, hit := range page.Hits.Hits {
			seen = append(seen, hit.ID)
		}
		id, alive := a.client.Scroll.WithScrollID(page.ScrollID), a.client.Scroll.WithScroll(time.Minute)
		answer, err = a.client.Scroll(id, alive)
	}
}

func (a adapter) Refused(index string) (any, error) {
	return read(a.client.Search(a.client.Search.WithIndex(index), a.client.Search.WithBody(strings.NewReader(script.RefusedBody))))
}

func (a adapter) Create(index, id string, source json.RawMessage) (any, error) {
	return read(a.client.Create(index, id, bytes.NewReader(source)))
}

func (a adapter) Update(index, id, title string) (any, error) {
	body := strings.NewReader(fmt.Sprintf(`{"doc":{"title":%q}}`, title))
	return read(a.client.Update(index, id, body, a.client.Update.WithRefresh("true")))
}

func (a adapter) Delete(index, id string) (any, error) {
	return read(a.client.Delete(index, id, a.client.Delete.WithRefresh("true")))
}
