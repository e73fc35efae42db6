package android.view;

import android.content.Context;

public class View {
    public interface OnClickListener {
        void onClick(View view);
    }

    public View(Context context) {}

    public void setPadding(int left, int top, int right, int bottom) {}

    public void setEnabled(boolean enabled) {}

    public void setFitsSystemWindows(boolean fits) {}

    public void setOnClickListener(OnClickListener listener) {}
}
