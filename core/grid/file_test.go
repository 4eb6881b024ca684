package grid

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const villageFile = `{
  "utility": {"retail": 0.32, "feed_in": 0.08},
  "nodes": [
    {"name": "south", "parent": "village", "kind": "feeder", "capacity_wh": 0},
    {"name": "village", "kind": "region"},
    {"name": "north", "parent": "village", "kind": "feeder", "fee": 0.01, "loss_ppm": 10000, "capacity_wh": 25000}
  ]
}`

func TestFile(t *testing.T) {
	f, err := ParseFile([]byte(villageFile))
	if err != nil {
		t.Fatal(err)
	}
	if f.Utility.Retail != "0.32" || f.Nodes[2].Fee != "0.01" {
		t.Fatalf("%+v", f)
	}
	tree, names, err := f.Tree([]Tick{0, 0, 7})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"village", "north", "south"}; !slices.Equal(names, want) {
		t.Fatalf("nodes %v, want %v", names, want)
	}
	if want := (Edge{Fee: 7, Loss: 10_000, Capacity: 25_000}); tree.Node(1).Edge != want || tree.Node(2).Capacity != Closed || tree.Node(0).Capacity != Unlimited {
		t.Fatalf("%+v", tree.Nodes())
	}
}

func TestFilesThatAreNoGrid(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want error
		says string
	}{
		"not JSON":       {`nodes`, ErrFile, "byte"},
		"two values":     {`{"nodes":[]}{}`, ErrFile, "more than one"},
		"misspelt field": {`{"nodes":[{"name":"a","capacity":5}]}`, ErrFile, `"capacity"`},
		"no name":        {`{"nodes":[{"kind":"feeder"}]}`, ErrFile, "node 0"},
		"long name":      {`{"nodes":[{"name":"` + strings.Repeat("x", MaxName+1) + `"}]}`, ErrFile, "64 bytes"},
		"name twice":     {`{"nodes":[{"name":"a"},{"name":"a","parent":"a"}]}`, ErrFile, `"a"`},
		"huge":           {strings.Repeat(" ", MaxFile+1), ErrFile, "8388609"},
		"no nodes":       {`{}`, ErrNoNodes, ""},
		"unknown parent": {`{"nodes":[{"name":"a"},{"name":"b","parent":"c"}]}`, ErrParent, `node "b"`},
		"kind":           {`{"nodes":[{"name":"a","kind":"street"}]}`, ErrKind, `"street"`},
		"capacity":       {`{"nodes":[{"name":"a","capacity_wh":-1}]}`, ErrCapacity, `node "a"`},
		"two roots":      {`{"nodes":[{"name":"a"},{"name":"b"}]}`, ErrRoot, "2 is b"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFile([]byte(c.file))
			if err == nil {
				_, _, err = f.Tree(make([]Tick, len(f.Nodes)))
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(villageFile))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ParseFile(data)
		if err != nil {
			return
		}
		tree, names, err := file.Tree(make([]Tick, len(file.Nodes)))
		if err == nil && (tree.Len() != len(file.Nodes) || len(names) != tree.Len()) {
			t.Fatalf("%d nodes of %d", tree.Len(), len(file.Nodes))
		}
	})
}
