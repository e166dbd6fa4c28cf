# mypy: ignore-errors


class detect_anomaly: ...


class set_detect_anomaly: ...
