# The policy of store vault, in its namespace team-a, by
# `provisioner policy vault`: exactly what is used. What is said to be in the default policy
# may be left out where the client token has that one.

# read, write and fence
path "secret/data/influx/telegraf-admin" {
  capabilities = ["create", "read", "update"]
}

# read, write and fence
path "secret/data/telegraf/influx" {
  capabilities = ["create", "read", "update"]
}

# read, write and fence
path "secret/data/influx/backup-agent-token" {
  capabilities = ["create", "read", "update"]
}

# `provisioner check`: its settings
path "secret/metadata/influx/telegraf-admin" {
  capabilities = ["read"]
}

# `provisioner check`: its settings
path "secret/metadata/telegraf/influx" {
  capabilities = ["read"]
}

# `provisioner check`: its settings, and our fields beside a bare token
path "secret/metadata/influx/backup-agent-token" {
  capabilities = ["create", "patch", "read", "update"]
}

# `provisioner check`: the same, of the mount
path "secret/config" {
  capabilities = ["read"]
}

# asked before anything is minted; in the default policy
path "sys/capabilities-self" {
  capabilities = ["update"]
}

# before it ends: our client token; in the default policy
path "auth/token/renew-self" {
  capabilities = ["update"]
}

# when we leave: our client token; in the default policy
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
