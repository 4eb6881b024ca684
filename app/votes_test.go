package app

import (
	"bytes"
	"errors"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

// No bytes at the front of a block panic, and votes have one encoding.
func FuzzParseVotes(f *testing.F) {
	good, err := marshalVotes(abci.ExtendedCommitInfo{Round: 2, Votes: []abci.ExtendedVoteInfo{
		{Validator: abci.Validator{Address: make([]byte, 20), Power: 5}, BlockIdFlag: cmtproto.BlockIDFlagCommit, VoteExtension: []byte{1}, ExtensionSignature: make([]byte, 64)},
		{Validator: abci.Validator{Address: make([]byte, 20), Power: 3}, BlockIdFlag: cmtproto.BlockIDFlagAbsent},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(votesMark))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		votes, err := parseVotes(b)
		if err != nil {
			if !errors.Is(err, errVotes) {
				t.Fatal(err)
			}
			return
		}
		again, err := marshalVotes(votes)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x has another encoding, %x, %v", b, again, err)
		}
	})
}
