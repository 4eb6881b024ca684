package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// accountValues is the prefix of metabase values that hold accounts.
const accountValues = "s3/account/"

// Accounts keeps the gateway's S3 accounts beside the root account, in the
// metabase, sealed. It implements versitygw's auth.IAMService. The root account
// itself is configuration, not a row.
type Accounts struct {
	db   *metabase.DB
	box  seal.Box
	root auth.Account
}

var _ auth.IAMService = (*Accounts)(nil)

// NewAccounts opens the accounts of a metabase. access and secret are the root
// account's keys.
func NewAccounts(db *metabase.DB, root seal.Root, access, secret string) *Accounts {
	return &Accounts{db: db, box: root.Box("s3 accounts"), root: auth.Account{Access: access, Secret: secret, Role: auth.RoleAdmin}}
}

func (a *Accounts) open(access string, sealed []byte) (auth.Account, error) {
	var acct auth.Account
	plain, err := a.box.Open(nil, sealed, []byte(access))
	if err == nil {
		err = json.Unmarshal(plain, &acct)
	}
	if err != nil {
		return acct, fmt.Errorf("opening S3 account %q: %w", access, err)
	}
	return acct, nil
}

func (a *Accounts) seal(acct auth.Account) ([]byte, error) {
	plain, err := json.Marshal(acct)
	if err != nil {
		return nil, fmt.Errorf("encoding S3 account %q: %w", acct.Access, err)
	}
	return a.box.Seal(nil, plain, []byte(acct.Access)), nil
}

// CreateAccount implements auth.IAMService.
func (a *Accounts) CreateAccount(acct auth.Account) error {
	if acct.Access == a.root.Access {
		return auth.ErrUserExists
	}
	sealed, err := a.seal(acct)
	if err != nil {
		return err
	}
	return a.db.UpdateValue(context.Background(), accountValues+acct.Access, func(old []byte) ([]byte, error) {
		if old != nil {
			return nil, auth.ErrUserExists
		}
		return sealed, nil
	})
}

// GetUserAccount implements auth.IAMService.
func (a *Accounts) GetUserAccount(access string) (auth.Account, error) {
	if access == a.root.Access {
		return a.root, nil
	}
	sealed, err := a.db.Value(context.Background(), accountValues+access)
	if errors.Is(err, metabase.ErrNoValue) {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	if err != nil {
		return auth.Account{}, err
	}
	return a.open(access, sealed)
}

// ResolveAccounts implements auth.IAMService: it returns the keys that exist
// neither as account nor as root.
func (a *Accounts) ResolveAccounts(keys []string) ([]string, error) {
	missing := []string{}
	for _, key := range keys {
		_, err := a.GetUserAccount(key)
		switch {
		case errors.Is(err, auth.ErrNoSuchUser):
			missing = append(missing, key)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// UpdateUserAccount implements auth.IAMService.
func (a *Accounts) UpdateUserAccount(access string, props auth.MutableProps) error {
	return a.db.UpdateValue(context.Background(), accountValues+access, func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, auth.ErrNoSuchUser
		}
		acct, err := a.open(access, old)
		if err != nil {
			return nil, err
		}
		if props.Secret != nil {
			acct.Secret = *props.Secret
		}
		if props.Role != "" {
			acct.Role = props.Role
		}
		if props.UserID != nil {
			acct.UserID = *props.UserID
		}
		if props.GroupID != nil {
			acct.GroupID = *props.GroupID
		}
		if props.ProjectID != nil {
			acct.ProjectID = *props.ProjectID
		}
		return a.seal(acct)
	})
}

// DeleteUserAccount implements auth.IAMService.
func (a *Accounts) DeleteUserAccount(access string) error {
	return a.db.UpdateValue(context.Background(), accountValues+access, func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, s3err.GetAPIError(s3err.ErrAdminUserNotFound)
		}
		return nil, nil
	})
}

// ListUserAccounts implements auth.IAMService.
func (a *Accounts) ListUserAccounts() (list []auth.Account, err error) {
	err = a.db.Values(context.Background(), accountValues, func(name string, sealed []byte) error {
		acct, err := a.open(name[len(accountValues):], sealed)
		list = append(list, acct)
		return err
	})
	return list, err
}

// Shutdown implements auth.IAMService.
func (a *Accounts) Shutdown() error { return nil }
