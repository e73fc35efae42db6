package android.app;

import android.content.Context;
import android.content.res.AssetManager;
import android.os.Bundle;
import android.view.View;

public abstract class Activity extends Context {
    protected void onCreate(Bundle state) {}

    protected void onDestroy() {}

    public void setContentView(View view) {}

    @Override
    public AssetManager getAssets() {
        throw new UnsupportedOperationException();
    }
}
