# Every five minutes four groups, a quarter of the firewalls each.
job "cloudsync" {
  type        = "batch"
  datacenters = ["*"]

  periodic {
    crons            = ["*/5 * * * *"]
    prohibit_overlap = true
  }

  group "shard" {
    count = 4

    restart {
      attempts = 1
      mode     = "fail"
    }

    task "apply" {
      driver       = "docker"
      kill_timeout = "120s"

      config {
        image = "cloudsync:latest"
        args = [
          "apply", "-c", "/local/config.toml", "--shard", "${NOMAD_ALLOC_INDEX}/4",
          "--auto-approve", "--quiet", "--lock-timeout", "60",
        ]
        readonly_rootfs = true
        cap_drop        = ["all"]
        volumes         = ["local/config.toml:/local/config.toml:ro"]
      }

      template {
        data        = "{{ key \"cloudsync/config.toml\" }}"
        destination = "local/config.toml"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/cloudsync\" }}AWS_ACCESS_KEY_ID={{ .access_key_id }}\nAWS_SECRET_ACCESS_KEY={{ .secret_access_key }}{{ end }}"
        destination = "secrets/store.env"
        env         = true
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
