package launch

import (
	"context"
	"crypto/ed25519"
	"io"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
)

// engine is the renter's engine as the S3 face sees it.
type engine struct{ *renter.Engine }

var _ s3.Engine = engine{}

// Store implements s3.Engine.
func (e engine) Store(ctx context.Context, req s3.StoreRequest, r io.Reader) ([]metabase.Segment, int64, error) {
	return e.Engine.Store(ctx, renter.StoreRequest{Bucket: req.Bucket, ObjectID: req.ObjectID, Key: req.Key, Class: req.Class}, r)
}

func publicKey(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
