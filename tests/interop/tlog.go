// Reads a ledger over HTTP with Go's own packages for transparency logs (golang.org/x/mod/sumdb/{note,tlog}), which know
// nothing of Consentry: the checkpoint must open, every entry must have its hash in the tree, the server's proofs must
// hold, and the tree must continue the one that was seen at the last run.
//
//	tlog URL STATE [VKEY]     STATE: a file that keeps the last tree seen
//
// Bundles that an earlier run read whole are not read again, unless VKEY is given: the tree continues the one they are in.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var base string

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func get(path string) ([]byte, error) {
	answer, err := http.Get(base + "/ledger/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// The address of a tile: Go's has the height in it, and `data` where c2sp.org/tlog-tiles says `entries`.
func address(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

type tiles struct{}

func (tiles) Height() int { return 8 }

func (tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := get(address(tile))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func tree(text string) tlog.Tree {
	lines := strings.Split(text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "the size of the checkpoint")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err, "the root of the checkpoint")
	var hash tlog.Hash
	copy(hash[:], root)
	return tlog.Tree{N: size, Hash: hash}
}

// The hashes between a first line and an empty one.
func hashes(proof []byte, skip int) []tlog.Hash {
	var all []tlog.Hash
	head, _, _ := strings.Cut(string(proof), "\n\n")
	for _, line := range strings.Split(head, "\n")[skip:] {
		hash, err := tlog.ParseHash(line)
		must(err, "a hash of a proof")
		all = append(all, hash)
	}
	return all
}

func main() {
	base = strings.TrimSuffix(os.Args[1], "/")
	vkey, err := get("vkey")
	must(err, "the verifier key")
	if len(os.Args) > 3 {
		vkey = []byte(os.Args[3])
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	must(err, "the verifier key")
	checkpoint, err := get("checkpoint")
	must(err, "the checkpoint")
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	must(err, "the checkpoint's signature")
	now := tree(opened.Text)
	reader := tlog.TileHashReader(now, tiles{})

	// Every entry has its hash in the tree; the reader checks each tile against the signed root.
	read := int64(0)
	if done, err := os.ReadFile(os.Args[2] + ".read"); err == nil && len(os.Args) == 3 {
		read, err = strconv.ParseInt(string(done), 10, 64)
		must(err, "the state")
		read -= read % 256
	}
	for number := read / 256; number*256 < now.N; number++ {
		width := now.N - number*256
		if width > 256 {
			width = 256
		}
		bundle, err := get(address(tlog.Tile{H: 8, L: -1, N: number, W: int(width)}))
		must(err, "a bundle of entries")
		var indices []int64
		var leaves []tlog.Hash
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			leaves = append(leaves, tlog.RecordHash(bundle[2:2+length]))
			indices = append(indices, tlog.StoredHashIndex(0, read))
			bundle = bundle[2+length:]
			read++
		}
		stored, err := reader.ReadHashes(indices)
		must(err, "the hashes of entries")
		for place, leaf := range leaves {
			if leaf != stored[place] {
				must(fmt.Errorf("entry %d is not what the tree holds", number*256+int64(place)), "entries")
			}
		}
		// The server's proof and Go's own are the same and hold.
		index := number * 256
		own, err := tlog.ProveRecord(now.N, index, reader)
		must(err, "a proof")
		must(tlog.CheckRecord(own, now.N, now.Hash, index, leaves[0]), "Go's own proof")
		theirs, err := get(fmt.Sprintf("inclusion?index=%d&size=%d", index, now.N))
		must(err, "the server's proof")
		must(tlog.CheckRecord(hashes(theirs, 2), now.N, now.Hash, index, leaves[0]), "the server's proof")
	}
	if read != now.N {
		must(fmt.Errorf("%d entries under a checkpoint of %d", read, now.N), "entries")
	}

	// The tree continues the one that was seen before.
	if before, err := os.ReadFile(os.Args[2]); err == nil {
		old := tree(string(before))
		if old.N > now.N {
			must(fmt.Errorf("%d entries were seen, %d are there", old.N, now.N), "the ledger was cut")
		}
		if old.N > 0 {
			own, err := tlog.ProveTree(now.N, old.N, reader)
			must(err, "a proof of consistency")
			must(tlog.CheckTree(own, now.N, now.Hash, old.N, old.Hash), "the ledger was forked")
			theirs, err := get(fmt.Sprintf("consistency?old=%d&size=%d", old.N, now.N))
			must(err, "the server's proof of consistency")
			must(tlog.CheckTree(hashes(theirs, 1), now.N, now.Hash, old.N, old.Hash), "the server's proof of consistency")
		}
	}
	must(os.WriteFile(os.Args[2], bytes.TrimLeft([]byte(opened.Text), "\n"), 0o600), "the state")
	must(os.WriteFile(os.Args[2]+".read", []byte(strconv.FormatInt(now.N, 10)), 0o600), "the state")
	fmt.Printf("%d entries, root %s\n", now.N, now.Hash)
}
