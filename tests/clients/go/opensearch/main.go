// Driver of opensearch-go: its typed API.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"clients/script"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
	"github.com/opensearch-project/opensearch-go/v4/opensearchtransport"
	"github.com/opensearch-project/opensearch-go/v4/opensearchutil"
)

type adapter struct{ client *opensearchapi.Client }

var background = context.Background()

func main() {
	script.Run(version(), func(url string, options script.Options) (script.Adapter, error) {
		config := opensearch.Config{Addresses: []string{url}, CompressRequestBody: options.Compress}
		client, err := opensearchapi.NewClient(opensearchapi.Config{Client: config})
		if err == nil && options.Sniff {
			err = client.Client.DiscoverNodes(background)
		}
		return adapter{client}, err
	})
}

// version is the module's, as it was built in.
func version() string {
	built, _ := debug.ReadBuildInfo()
	for _, module := range built.Deps {
		if strings.HasPrefix(module.Path, "github.com/opensearch-project/opensearch-go/") {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return ""
}

// plain is what the client made of an answer.
func plain[T any](found T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return script.Plain(found), nil
}

func (a adapter) Info() (any, error) { return plain(a.client.Info(background, nil)) }

func (a adapter) Nodes() []string {
	var nodes []string
	for _, url := range a.client.Client.Transport.(*opensearchtransport.Client).URLs() {
		nodes = append(nodes, url.String())
	}
	return nodes
}

func (a adapter) CreateIndex(index string) (any, error) {
	request := opensearchapi.IndicesCreateReq{Index: index, Body: strings.NewReader(script.IndexBody)}
	return plain(a.client.Indices.Create(background, request))
}

// Bulk goes by the client's own indexer.
func (a adapter) Bulk(index string, documents []script.Document) (any, error) {
	config := opensearchutil.BulkIndexerConfig{Client: a.client, Index: index, NumWorkers: 1, Refresh: "true"}
	indexer, err := opensearchutil.NewBulkIndexer(config)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		item := opensearchutil.BulkIndexerItem{Action: "index", DocumentID: document.ID, Body: bytes.NewReader(document.Source)}
		if err := indexer.Add(background, item); err != nil {
			return nil, err
		}
	}
	err = indexer.Close(background)
	return plain(indexer.Stats(), err)
}

func (a adapter) Get(index, id string) (any, error) {
	return plain(a.client.Document.Get(background, opensearchapi.DocumentGetReq{Index: index, DocumentID: id}))
}

func (a adapter) search(index, body string, params opensearchapi.SearchParams) (*opensearchapi.SearchResp, error) {
	request := opensearchapi.SearchReq{Indices: []string{index}, Body: strings.NewReader(body), Params: params}
	return a.client.Search(background, &request)
}

func (a adapter) Search(index string, size, from int) (any, error) {
	return plain(a.search(index, script.SearchBody(size, from), opensearchapi.SearchParams{}))
}

func (a adapter) MSearch(indices []string, size int) ([]any, error) {
	request := opensearchapi.MSearchReq{Body: strings.NewReader(script.MSearchBody(indices, size))}
	found, err := plain(a.client.MSearch(background, request))
	if err != nil {
		return nil, err
	}
	return found.(map[string]any)["responses"].([]any), nil
}

func (a adapter) Count(index string) (any, error) {
	body := strings.NewReader(`{"query":` + script.MatchQuery + `}`)
	return plain(a.client.Indices.Count(background, &opensearchapi.IndicesCountReq{Indices: []string{index}, Body: body}))
}

// Walk goes by a scroll.
func (a adapter) Walk(index string) (any, error) {
	found, err := a.search(index, script.SearchBody(7, 0), opensearchapi.SearchParams{Scroll: time.Minute})
	if err != nil {
		return nil, err
	}
	var seen []string
	hits, id := found.Hits.Hits, *found.ScrollID
	for len(hits) > 0 {
		for _, hit := range hits {
			seen = append(seen, hit.ID)
		}
		params := opensearchapi.ScrollGetParams{Scroll: time.Minute}
		next, err := a.client.Scroll.Get(background, opensearchapi.ScrollGetReq{ScrollID: id, Params: params})
		if err != nil {
			return nil, err
		}
		hits, id = next.Hits.Hits, *next.ScrollID
	}
	return seen, nil
}

func (a adapter) Refused(index string) (any, error) {
	return plain(a.search(index, script.RefusedBody, opensearchapi.SearchParams{}))
}

func (a adapter) Create(index, id string, source json.RawMessage) (any, error) {
	request := opensearchapi.DocumentCreateReq{Index: index, DocumentID: id, Body: bytes.NewReader(source)}
	return plain(a.client.Document.Create(background, request))
}

func (a adapter) Update(index, id, title string) (any, error) {
	body := strings.NewReader(fmt.Sprintf(`{"doc":{"title":%q}}`, title))
	params := opensearchapi.UpdateParams{Refresh: "true"}
	return plain(a.client.Update(background, opensearchapi.UpdateReq{Index: index, DocumentID: id, Body: body, Params: params}))
}

func (a adapter) Delete(index, id string) (any, error) {
	params := opensearchapi.DocumentDeleteParams{Refresh: "true"}
	return plain(a.client.Document.Delete(background, opensearchapi.DocumentDeleteReq{Index: index, DocumentID: id, Params: params}))
}
