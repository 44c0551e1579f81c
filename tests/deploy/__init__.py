"""What is deployed: the image, the chart, its plain twin, the alerts, as the tools of others see them."""
