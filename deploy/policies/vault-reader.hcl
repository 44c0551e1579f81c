# The policy of the reader of store vault, in its namespace team-a, by
# `provisioner policy vault`: exactly what is used. What is said to be in the default policy
# may be left out where the client token has that one.

# what consumers read
path "secret/data/influx/telegraf-admin" {
  capabilities = ["read"]
}

# what consumers read
path "secret/data/telegraf/influx" {
  capabilities = ["read"]
}

# what consumers read
path "secret/data/influx/backup-agent-token" {
  capabilities = ["read"]
}

# before it ends: our client token; in the default policy
path "auth/token/renew-self" {
  capabilities = ["update"]
}

# when we leave: our client token; in the default policy
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
